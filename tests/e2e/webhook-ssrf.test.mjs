// Where webhooks may not go: the same address in every way to write it, names that lead there, receivers that send on. What each network
// of the list is worth, address by address, is in tests/unit/test_wh_guard.c.
import assert from 'node:assert/strict';
import { scenario } from './lib/scope.mjs';
import { problemOf } from './lib/http.mjs';
import { Receiver, redirect } from './lib/receiver.mjs';
import { Webhooks } from './lib/webhooks.mjs';

const GUARDED = ['--webhooks.retry=0', '--webhooks.allow_http=true'];

// Hosts that are addresses, and closed ones: refused when they are registered. In several of them inet_aton() reads what no browser shows.
const WRITTEN = [
    ...['127.0.0.1', '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1', '017700000001', '0x7F.0x0.0x0.0x1', '127.255.255.254'],
    ...['0.0.0.0', '0', '10.0.0.1', '0xa000001', '012.0.0.1', '100.64.0.1', '169.254.169.254', '0xa9fea9fe', '2852039166', '172.16.0.1', '192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255'],
    ...['[::1]', '[::]', '[0:0:0:0:0:0:0:1]', '[::127.0.0.1]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::FFFF:0a00:1]', '[64:ff9b::127.0.0.1]', '[64:ff9b::a9fe:a9fe]', '[64:ff9b:1::a00:1]'],
    ...['[2002:7f00:1::]', '[2002:a9fe:a9fe::1]', '[fd00::1]', '[fe80::1]', '[fe80::1%25eth0]', '[::1%25lo]', '[fec0::1]', '[ff02::1]', '[100::1]', '[2001:db8::1]'],
];
// Names that lead to this machine, as libcurl and the resolver have it without a name server; some resolvers know nothing of the one with a dot.
const NAMES = { localhost: ['blocked_address'], LOCALHOST: ['blocked_address'], 'hooks.localhost': ['blocked_address'], 'localhost.': ['blocked_address', 'dns'] };
// What else is wrong with where it goes.
const WRONG = ['http://user@example.com/', 'http://user:pw@127.0.0.1/', 'http://example.com@127.0.0.1/', 'ftp://example.com/', 'file:///etc/passwd', 'gopher://127.0.0.1:25/_x', 'dict://127.0.0.1:11211/',
    'unix:///var/run/docker.sock', 'http:127.0.0.1', 'http:/127.0.0.1/', '//127.0.0.1/', 'http://127.0.0.1\\@example.com/', 'http://127.0.0.1%2f@example.com/', 'http://%31%32%37.0.0.1/'];

scenario('an address that is closed is refused however it is written, and so is any URL that is none of https', async (scope) => {
    const webhooks = new Webhooks(await scope.hub({ args: GUARDED }));
    for (const url of [...WRITTEN.flatMap((host) => [`http://${host}/`, `https://${host}:8443/x?y`]), ...WRONG]) {
        const problem = problemOf(await webhooks.ask('POST', '/v1/webhooks', { url, events: ['a'] }), 400, 'bad_field');
        assert.deepEqual(problem.errors.map(({ field }) => field), ['url'], url);
    }
    assert.deepEqual(await webhooks.list('/v1/webhooks'), []);
});

scenario('a name that leads to a closed address is found out when it is connected to, each time', async (scope) => {
    const webhooks = new Webhooks(await scope.hub({ args: GUARDED })), receiver = await Receiver.start(scope);
    for (const [i, [name, errors]] of Object.entries(NAMES).entries()) {
        await webhooks.make({ url: receiver.url('/hook', name), events: [`to.${i}`] });
        for (const time of ['first', 'again']) {
            const { id } = await webhooks.tell(`to.${i}`);
            const { attempts } = await webhooks.settled(id, 'dead');
            const [{ error, status, address }] = attempts, what = `${name}, ${time}: ${JSON.stringify(attempts)}`;
            assert.ok(errors.includes(error), what);
            assert.deepEqual([attempts.length, status, address], [1, undefined, undefined], what);
        }
    }
    assert.equal(receiver.connections, 0);
});

scenario('allow_networks opens its networks and nothing beside them; a receiver in one cannot send the hub on to others', async (scope) => {
    const webhooks = new Webhooks(await scope.hub({ args: [...GUARDED, '--webhooks.allow_networks=127.0.0.4/31'] }));
    const inside = await Receiver.start(scope, { host: '127.0.0.5' }), outside = await Receiver.start(scope, { host: '127.0.0.1' });
    for (const host of ['127.0.0.3', '127.0.0.6', '127.0.0.1', '[::1]', '[::ffff:127.0.0.6]'])
        problemOf(await webhooks.ask('POST', '/v1/webhooks', { url: `http://${host}:${inside.port}/`, events: ['a'] }), 400, 'bad_field');
    await webhooks.make({ url: inside.url('/good'), events: ['good'] });
    const { id } = await webhooks.tell('good');
    assert.equal((await webhooks.settled(id, 'delivered')).attempts[0].address, '127.0.0.5');
    for (const status of [301, 302, 307, 308]) {
        inside.answer(`/${status}`, redirect(status, outside.url('/secret')));
        await webhooks.make({ url: inside.url(`/${status}`), events: [`sent.on.${status}`] });
        const told = await webhooks.tell(`sent.on.${status}`), { attempts } = await webhooks.settled(told.id, 'dead');
        assert.deepEqual(attempts.map((one) => [one.status, one.error]), [[status, undefined]], JSON.stringify(attempts));
    }
    assert.equal(outside.connections, 0);
});
