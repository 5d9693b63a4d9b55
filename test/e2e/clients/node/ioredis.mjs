// ioredis with its defaults: ioredis.mjs PORT. See ../../clients_test.py.
import assert from 'node:assert/strict';
import Redis from 'ioredis';
import {port, refused, restart, step, upTo} from './scenario.mjs';

const r = new Redis(port);
r.on('error', () => {});  // while the server restarts; every call's own outcome is asserted
assert.equal(await r.ping(), 'PONG');
step('connect');

const values = [await r.incr('a'), await r.incrby('a', 41), await r.decr('a'), await r.decrby('a', 48)];
assert.deepEqual(values, [1, 42, 41, -7]);
assert.equal(await r.get('a'), '-7');
assert.equal(await r.get('none'), null);
step('counters');

const batch = r.pipeline();
upTo(1000).forEach(() => batch.incr('p'));
assert.deepEqual(await batch.exec(), upTo(1000).map((n) => [null, n + 1]));
step('pipeline');

assert.deepEqual(await r.multi().incr('m').incrby('m', 9).get('m').exec(), [[null, 1], [null, 10], [null, '10']]);
step('multi');

assert.equal(await r.set('e', 5), 'OK');
assert.equal(await r.expire('e', 100), 1);
const ttl = await r.ttl('e');
assert.ok(ttl >= 90 && ttl <= 100, `TTL ${ttl}`);
assert.equal(await r.persist('e'), 1);
assert.equal(await r.ttl('e'), -1);
step('expire');

assert.deepEqual([await r.hincrby('h', 'x', 3), await r.hincrby('h', 'y', 4)], [3, 4]);
assert.deepEqual(await r.hgetall('h'), {x: '3', y: '4'});
step('hash');

await Promise.all(upTo(300).map((n) => r.incr(`s:${n}`)));
const found = [];
for await (const page of r.scanStream({match: 's:*', count: 50})) found.push(...page);
assert.deepEqual(found.sort(), upTo(300).map((n) => `s:${n}`).sort());
step('scan');

await refused('ERR value is not an integer or out of range', () => r.incrby('a', 'abc'));
await r.set('big', '9223372036854775807');
await refused('ERR increment or decrement would overflow', () => r.incr('big'));
assert.equal(await r.get('big'), '9223372036854775807');
step('errors');

assert.equal(await r.incr('kept'), 1);
await restart();
assert.equal(await r.incr('kept'), 2);
step('reconnect');
await r.quit();
