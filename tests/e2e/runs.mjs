// runs.mjs — which files of this folder `make test` runs more than once. All of them run on plain lines with a store of the hub's own;
// some once more over TLS, some once more with Redis as the engine. Prints the paths of one of these runs:  node e2e/runs.mjs tls|redis
//
// A new file runs over TLS until it says here why TLS cannot change what it proves. `make e2e-tls`, part of make soak, runs all.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NOT_OVER_TLS = {
    'what goes from page to page goes past the hub; its WebSocket is that of js-browser and rooms': ['calls', 'calls-chance', 'calls-werift', 'turn'],
    'has TLS of its own making, whatever the run is': ['tls'],
    'compares texts of a stream, or what engines make of them: sse, slow and browser show that TLS brings the same bytes': ['eventsource', 'eventsource-bytes', 'encoding'],
    'cuts the line under carillon.js at any byte, which is below TLS: js-client, js-stream and js-browser use it over TLS': ['js-faults', 'js-faults-browser', 'js-faults-found', 'js-faults-tokens'],
    'looks at a file, or at what is printed, or at arguments and settings': ['js-package', 'readme', 'config', 'cli', 'token-cli', 'redis-url', 'webhook-verify'],
    'pages and programs of ours with libraries of others: their TLS is not ours, and pages of http:// may not ask over it': ['examples', 'examples-call', 'examples-publish', 'openapi-docs'],
    'what the API says, from tables that see no line: http, publish, public-port and bad-input show how it travels': ['openapi', 'openapi-random', 'access', 'audit', 'channels', 'cors', 'ops'],
    'who may: decided before a byte is written, and by code that sees no socket': ['keys', 'tokens', 'live-tokens', 'revocation', 'rates'],
    'what the hub asks or tells others, on lines of libcurl': ['jwks', 'webhooks', 'webhook-crash', 'webhook-delivery', 'webhook-egress', 'webhook-listen', 'webhook-metrics', 'webhook-ssrf'],
    'the channel model, which is behind the lines': ['batch', 'exclude', 'history-rules', 'last', 'patterns', 'presence', 'purge', 'retries', 'rules', 'since', 'ttl'],
    'a store after kill -9: kill9 has its readers over TLS': ['kill9-100k', 'kill9-random'],
    'what hubs say to each other, which is said to Redis': ['nodes', 'shared-access', 'shared-connections', 'shared-members', 'shared-rooms', 'shared-webhooks'],
};

// The channel model is kept by the engine, so these are what another engine can change. `make e2e-redis`, part of make soak, runs all.
const ON_REDIS = ['batch', 'exclude', 'kill9', 'last', 'patterns', 'poll', 'purge', 'resume', 'rooms', 'rooms-api', 'since', 'ttl', 'webhook-crash', 'webhook-delivery'];

const SUFFIX = '.test.mjs';
const all = readdirSync(fileURLToPath(new URL('.', import.meta.url))).filter((file) => file.endsWith(SUFFIX)).map((file) => file.slice(0, -SUFFIX.length));
const left = Object.values(NOT_OVER_TLS).flat();
const twice = left.filter((name, i) => left.indexOf(name) !== i), unknown = [...left, ...ON_REDIS].filter((name) => !all.includes(name));
if (twice.length || unknown.length) throw new Error(`runs.mjs: named twice: ${twice}; no file here: ${unknown}`);

const RUNS = { tls: all.filter((name) => !left.includes(name)), redis: ON_REDIS };
console.log(RUNS[process.argv[2]].map((name) => `e2e/${name}${SUFFIX}`).join(' '));
