"""JavaScript that judges the looks of a page: what sticks out, and which texts have too little contrast.

Two expressions, each giving a list that is empty when all is well. They only read the page.
"""

# Elements whose visible part is wider than the window, or a page that scrolls sideways.
OVERFLOW = """(function () {
  var wide = document.documentElement.clientWidth, bad = [];
  if (document.documentElement.scrollWidth > wide) { bad.push('page: ' + document.documentElement.scrollWidth); }
  document.querySelectorAll('body *').forEach(function (one) {
    var box = one.getBoundingClientRect();
    if (box.width && (box.left < -0.5 || box.right > wide + 0.5)) { bad.push(one.tagName + ' ' + box.left + ' ' + box.right); }
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) { bad.push(one.tagName + ' scrolls'); }
  });
  return bad;
})()"""

# Texts whose contrast is below 4.5 to 1 (WCAG 2, level AA, for text of any size).
CONTRAST = """(function () {
  function channels(text) { return (text.match(/[\\d.]+/g) || []).map(Number); }
  function ground(one) {
    for (; one; one = one.parentElement) {
      var c = channels(getComputedStyle(one).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) { return c; }
    }
    return [255, 255, 255];
  }
  function light(c) {
    var part = c.slice(0, 3).map(function (v) { v /= 255; return v <= 0.04045 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); });
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  }
  var bad = [];
  document.querySelectorAll('body *').forEach(function (one) {
    var own = Array.prototype.some.call(one.childNodes, function (n) { return n.nodeType === 3 && n.data.trim(); });
    if (!own || !one.getClientRects().length || one.tagName === 'SCRIPT') { return; }
    var pair = [light(channels(getComputedStyle(one).color)), light(ground(one))].sort(function (a, b) { return a - b; });
    var ratio = (pair[1] + 0.05) / (pair[0] + 0.05);
    if (ratio < 4.5) { bad.push(one.tagName + ' ' + one.className + ' ' + ratio.toFixed(2)); }
  });
  return bad;
})()"""
