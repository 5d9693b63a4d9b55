// node-redis with its defaults: node_redis.mjs PORT. See ../../clients_test.py.
import assert from 'node:assert/strict';
import {createClient} from 'redis';
import {port, refused, restart, step, upTo} from './scenario.mjs';

const open = (options = {}) => {
  const client = createClient({url: `redis://127.0.0.1:${port}`, ...options});
  client.on('error', () => {});  // while the server restarts; every call's own outcome is asserted
  return client.connect();
};
const r = await open();
assert.equal(await r.ping(), 'PONG');
step('connect');

const values = [await r.incr('a'), await r.incrBy('a', 41), await r.decr('a'), await r.decrBy('a', 48)];
assert.deepEqual(values, [1, 42, 41, -7]);
assert.equal(await r.get('a'), '-7');
assert.equal(await r.get('none'), null);
step('counters');

// Calls made in one turn leave as one pipeline.
assert.deepEqual(await Promise.all(upTo(1000).map(() => r.incr('p'))), upTo(1000).map((n) => n + 1));
step('pipeline');

assert.deepEqual(await r.multi().incr('m').incrBy('m', 9).get('m').exec(), [1, 10, '10']);
step('multi');

assert.equal(await r.set('e', 5), 'OK');
assert.equal(await r.expire('e', 100), 1);
const ttl = await r.ttl('e');
assert.ok(ttl >= 90 && ttl <= 100, `TTL ${ttl}`);
assert.equal(await r.persist('e'), 1);
assert.equal(await r.ttl('e'), -1);
step('expire');

assert.deepEqual([await r.hIncrBy('h', 'x', 3), await r.hIncrBy('h', 'y', 4)], [3, 4]);
assert.deepEqual({...await r.hGetAll('h')}, {x: '3', y: '4'});
step('hash');

await Promise.all(upTo(300).map((n) => r.incr(`s:${n}`)));
const found = [];
for await (const page of r.scanIterator({MATCH: 's:*', COUNT: 50})) found.push(...page);
assert.deepEqual(found.sort(), upTo(300).map((n) => `s:${n}`).sort());
step('scan');

await refused('ERR value is not an integer or out of range', () => r.sendCommand(['INCRBY', 'a', 'abc']));
await r.set('big', '9223372036854775807');
await refused('ERR increment or decrement would overflow', () => r.incr('big'));
assert.equal(await r.get('big'), '9223372036854775807');
step('errors');

const three = await open({RESP: 3});
assert.deepEqual({...await three.hGetAll('h')}, {x: '3', y: '4'});
assert.equal(await three.incr('three'), 1);
await three.close();
step('resp3');

assert.equal(await r.incr('kept'), 1);
await restart();
assert.equal(await r.incr('kept'), 2);
step('reconnect');
await r.close();
