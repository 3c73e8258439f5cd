"""The API that the benchmark calls: Debian's nginx, which answers every call alike and at once.

What it answers is a whole object as Inqud documents it, with the order's number. That comes from the body of a POST; it
is the end of the checkout's id, so a GET finds it in its path. Must not measure anything.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request

PROJECT_ID = "CAP-aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
DELAY_MS = 100
CCO = "CCO-11111111-2222-4333-8444-"  # and the order's number

CHECKOUT = {
    "id": CCO + "$order", "projectId": PROJECT_ID, "projectName": "demo", "merchantDomain": "shop.example",
    "clientOrderId": "$order", "status": "NEW", "reason": None, "name": "Order $order", "type": "FIXED_PRICE",
    "fixedAmount": {"currency": "USD", "amount": 10}, "suggestedAmounts": None,
    "cryptoCurrencies": ["ETHEREUM_USDT", "TRON_USDT"],
    "cryptoCurrenciesByBlockchain": {"ETHEREUM": ["ETHEREUM_USDT"], "TRON": ["TRON_USDT"]},
    "cryptoCurrencyDetails": {}, "estimatedPayAmounts": {"ETHEREUM_USDT": 9.946291, "TRON_USDT": 9.946291},
    "minLimits": {}, "maxLimits": {}, "merchantFixedPlatformFees": {"ETHEREUM_USDT": 0.1},
    "merchantPercentPlatformFees": {"ETHEREUM_USDT": 5}, "payerFixedPlatformFees": {}, "payerPercentPlatformFees": {},
    "request": None, "returnUrl": "https://shop.example/orders/$order",
    "acquiringUrl": f"https://paycrypto.inqud.com/checkout/{CCO}$order",
    "createdAt": "2029-12-31T09:17:26.081523507Z", "lastUpdatedAt": None, "expiresAt": "2090-01-01T12:00:00Z"}

REQUEST = {
    "id": "CAPD-22222222-3333-4444-8555-$order", "orderId": "ORD-33333333-4444-4555-8666-$order",
    "clientOrderId": "$order", "currency": "USDT", "blockchain": "ETHEREUM", "status": "SUCCESS", "reason": None,
    "cryptoAcquiringProjectId": PROJECT_ID, "cryptoAcquiringProjectName": "demo", "checkoutId": CCO + "$order",
    "address": "0x52908400098527886E0F7030069857D2E4169EE7", "paymentWindowEndsAt": "2029-12-31T09:28:00Z",
    "expiresAt": "2090-01-01T12:00:00Z", "createdAt": "2029-12-31T09:18:00.123456789Z",
    "lastUpdatedAt": "2029-12-31T09:20:00.123456789Z", "paymentStatus": "SUCCESS",
    "paymentId": "PMT-44444444-5555-4666-8777-$order",
    "payment": {"id": "PMT-44444444-5555-4666-8777-$order", "orderId": "ORD-33333333-4444-4555-8666-$order",
                "clientOrderId": "$order", "externalId": None, "status": "SUCCESS", "orderType": "PAYIN",
                "transactionType": "CRYPTO", "method": "CRYPTOCOIN", "amount": 9.946291, "currency": "USDT",
                "createdAt": "2029-12-31T09:19:00Z", "h2H": False},
    "txHash": "0x88df016429689c079f3b2f6ad39fa052532c56795b733da78a91ebe6a713944b", "requestAmount": 10,
    "requestAmountIn": "USD", "requestAmountConverted": 9.946291, "convertPair": "USDTUSD", "convertRate": 1.0054,
    "payAmount": 9.946291, "payerPlatformFee": 0, "payerFixedPlatformFee": None, "payerPercentPlatformFee": None,
    "merchantPlatformFee": 0.597315, "merchantFixedPlatformFee": 0.1, "merchantPercentPlatformFee": 5,
    "processingAmount": 9.348976, "paidAmount": 9.946291, "overpaid": False, "minLimit": None, "maxLimit": None}

NEW = json.dumps(CHECKOUT, separators=(",", ":"))
PAID = json.dumps(dict(CHECKOUT, status="SUCCESS", request=REQUEST, lastUpdatedAt="2029-12-31T09:20:00.123456789Z"),
                  separators=(",", ":"))

CONF = """
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type application/json; tcp_nodelay on;
    keepalive_timeout 1h; keepalive_time 1d; keepalive_requests 1000000000;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    map $request_body $posted {{ '~"clientOrderId":"(?<number>[^"]+)"' $number; }}
    server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
{servers}
}}
"""
SERVER = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location ~ /checkouts$ {{ {sleep}echo_read_request_body; echo_exec @created; }}
        location @created {{ set $order $posted; return 200 '{new}'; }}
        location ~ /checkouts/""" + CCO + """(?<order>[^/]+)$ {{ return 200 '{read}'; }}
    }}
"""


class Trouble(Exception):
    """Something that keeps the benchmark from measuring."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Api:
    """Three ports, by what a GET says: "same" (still NEW), "paid" (SUCCESS); "slow" answers a POST after DELAY_MS."""

    def __init__(self, folder):
        os.mkdir(folder)
        self.asked = 0
        self.status = free_port()
        self.ports = {name: free_port() for name in ("same", "paid", "slow")}
        servers = "".join(SERVER.format(port=port, new=NEW, read=PAID if name == "paid" else NEW,
                                        sleep=f"echo_sleep {DELAY_MS / 1000}; " if name == "slow" else "")
                          for name, port in self.ports.items())
        with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
            file.write(CONF.format(dir=folder, status=self.status, servers=servers))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log"],
                                        stderr=subprocess.PIPE, text=True)
        for port in (self.status, *self.ports.values()):
            self.wait_for(port)

    def wait_for(self, port):
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        self.process.kill()
        raise Trouble(f"nginx did not start: {self.process.stderr.read()}")

    def url(self, name="same"):
        return f"http://127.0.0.1:{self.ports[name]}"

    def checkouts(self, name="same"):
        """Where a checkout is posted; a slash and its id after it, and it is read."""
        return f"{self.url(name)}/v1/user/crypto-acquiring/{PROJECT_ID}/checkouts"

    def requests(self):
        """How many have been answered so far, questions like this one apart."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.asked += 1
        with opener.open(f"http://127.0.0.1:{self.status}/", timeout=20) as reply:
            return int(reply.read().split()[9]) - self.asked

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stderr.close()
