// Webhook handler for Node.js with the package pg; the database is found by PGHOST and so on.
'use strict';
const http = require('http');
const { Pool } = require('pg');

const project = 'shop';
const pool = new Pool({ max: 4, connectionTimeoutMillis: 4000, statement_timeout: 4000 });
pool.on('error', (error) => console.error(error.message)); // an idle connection broke; the pool opens another

// The raw bytes count: in Express use express.raw({ type: '*/*', limit: '64kb' }), never express.json().
async function receive(body, digest) {
  try {
    await pool.query('SELECT inqud_receive_webhook($1, $2, $3)', [project, body, digest || '']);
    return 200;
  } catch (error) {
    console.error(error.message);
    return error.code === 'IQ006' ? 403 : 500;
  }
}

const server = http.createServer((request, response) => {
  const parts = [];
  let size = 0;
  request.on('data', (part) => {
    size += part.length;
    if (size <= 65536) { parts.push(part); }
  });
  request.on('end', async () => {
    const status = request.method !== 'POST' ? 405 : size > 65536 ? 413 :
      await receive(Buffer.concat(parts), request.headers['x-payload-digest']);
    response.writeHead(status, { 'Content-Type': 'text/plain' }).end(http.STATUS_CODES[status]);
  });
});

server.listen(Number(process.env.PORT || 8009), '127.0.0.1',
  () => console.log(`listening http://127.0.0.1:${server.address().port}/`));
