"""Pages for a browser: a stand-in for the vendor's widget script and a simple hosted payment page.

Static text only; both talk to the control routes. Must not hold any state.
"""

from wire import HTML, Reply

_CORS = [("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store")]

_WIDGET = r"""(function () {
  'use strict';
  var origin = new URL(document.currentScript.src).origin;
  class AppWidget extends HTMLElement {
    connectedCallback() {
      Object.assign(this.style, { display: 'block', boxSizing: 'border-box', width: '392px', padding: '24px',
        border: '1px solid #c3ccd8', borderRadius: '12px', background: '#fff', color: '#1b2430', overflowWrap: 'anywhere' });
      this.last = null;
      if (!this.line) {
        this.line = document.createElement('div');
        this.line.textContent = this.id;
        this.appendChild(this.line);
      }
      this.timer = setInterval(this.look.bind(this), 200);
      this.look();
    }
    disconnectedCallback() { clearInterval(this.timer); }
    look() {
      var self = this;
      fetch(origin + '/_emu/widget-status?id=' + encodeURIComponent(this.id))
        .then(function (reply) { return reply.ok ? reply.json() : null; })
        .then(function (now) { if (now) { self.show(now); } })
        .catch(function () { });
    }
    show(now) {
      if (now.status === this.last) { return; }
      this.last = now.status;
      this.line.textContent = now.id + ' ' + now.status;
      this.dispatchEvent(new CustomEvent('statusChanged',
        { bubbles: true, detail: { id: now.id, status: now.status } }));
    }
  }
  customElements.define('app-widget', AppWidget);
})();
"""

_HOSTED = r"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Checkout</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>body{font:16px sans-serif;max-width:40em;margin:0 auto;padding:1em;overflow-wrap:anywhere}
button{margin:0 .4em .4em 0;padding:.6em 1em;font:inherit}</style></head>
<body><h1>Checkout</h1><p id="which"></p><p>Status: <b id="status">…</b> <span id="reason"></span></p>
<p id="buttons"></p><p><a id="back" hidden>Back to the shop</a></p><p id="trouble"></p>
<script>
'use strict';
var id = decodeURIComponent(location.pathname.split('/').pop());
var steps = { 'Choose currency': ['choose', {}], 'Send money': ['detect', {}], 'Pay': ['settle', {}],
  'Underpay': ['settle', { factor: '0.5' }], 'Overpay': ['settle', { factor: '1.1' }], 'Walk away': ['expire', {}] };
function put(where, text) { document.getElementById(where).textContent = text || ''; }
function show(now) {
  put('status', now.status); put('reason', now.reason);
  if (now.returnUrl) { var back = document.getElementById('back'); back.href = now.returnUrl; back.hidden = false; }
}
function look() {
  fetch('/_emu/widget-status?id=' + encodeURIComponent(id))
    .then(function (reply) { return reply.json(); }).then(show).catch(function () { });
}
function act(name, more) {
  fetch('/_emu/' + name, { method: 'POST', body: JSON.stringify(Object.assign({ id: id }, more)) })
    .then(function (reply) { return reply.json(); })
    .then(function (said) { put('trouble', said.error); look(); });
}
put('which', id);
Object.keys(steps).forEach(function (label) {
  var button = document.createElement('button');
  button.textContent = label;
  button.id = steps[label][0] + (steps[label][1].factor ? '-' + steps[label][1].factor : '');
  button.onclick = function () { act(steps[label][0], steps[label][1]); };
  document.getElementById('buttons').appendChild(button);
});
setInterval(look, 500); look();
</script></body></html>
"""


def page(path):
    """The reply for a page of ours, or None."""
    if path == "/widget.js":
        return Reply(200, _WIDGET.encode("utf-8"), "text/javascript; charset=utf-8", _CORS)
    if path.startswith("/checkout/") and path.count("/") == 2:
        return Reply(200, _HOSTED.encode("utf-8"), HTML, _CORS)
    return None
