<?php
// Webhook handler for PHP with the extension pgsql; the database is found by PGHOST and so on.

const PROJECT = 'shop';

$body = file_get_contents('php://input', false, null, 0, 65537);
$digest = $_SERVER['HTTP_X_PAYLOAD_DIGEST'] ?? '';
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || strlen($body) > 65536) {
    http_response_code($_SERVER['REQUEST_METHOD'] !== 'POST' ? 405 : 413);
    exit;
}
$status = 500;
$connection = @pg_connect("connect_timeout=4 options='-c statement_timeout=4s'");
if ($connection && pg_send_query_params($connection, 'SELECT inqud_receive_webhook($1, $2::bytea, $3)',
        [PROJECT, '\x' . bin2hex($body), $digest])) {
    $result = pg_get_result($connection);
    $error = pg_result_error_field($result, PGSQL_DIAG_SQLSTATE);
    $status = $error === 'IQ006' ? 403 : ($error === null && pg_fetch_result($result, 0, 0) === 't' ? 200 : 500);
}
http_response_code($status);
