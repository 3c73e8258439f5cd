"""Webhook handler for any WSGI host (gunicorn, uWSGI, mod_wsgi, or mounted below Flask or Django): hosts.wsgi:app."""

import psycopg

PROJECT = "shop"


def app(environ, start_response):
    body = environ["wsgi.input"].read(min(int(environ.get("CONTENT_LENGTH") or 0), 65536))
    status = "200 OK"
    try:
        with psycopg.connect(connect_timeout=4, options="-c statement_timeout=4s", autocommit=True) as connection:
            connection.execute("SELECT inqud_receive_webhook(%s, %s, %s)",
                               (PROJECT, body, environ.get("HTTP_X_PAYLOAD_DIGEST", "")))
    except psycopg.Error as error:
        status = "403 Forbidden" if error.sqlstate == "IQ006" else "500 Internal Server Error"
    start_response(status, [("Content-Type", "text/plain")])
    return [status.encode()]
