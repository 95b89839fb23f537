// usage.ts — every part of the client's API as TypeScript sees it; compiled with --strict, not run (js-package.test.mjs).
import { CarillonError, connect, type Gap, type HistoryPage, type Hub, type Message, type Options, type PresencePage, type Published, type Subscription } from 'carillon-client';

interface Chat { text: string; from: string }

const options: Options = {
    token: async () => (await fetch('/token')).text(), api: 'https://api.example', transport: 'auto', client: 'page-1', queue: 10, ping: 5000,
    credentials: 'include', WebSocket,
};
const hub: Hub = connect(new URL('https://hub.example'), options).open();
connect('https://hub.example', { token: null });
connect('/');

const chat: Subscription<Chat> = hub.subscribe<Chat>('chat.lobby', (message) => console.log(message.data.text, message.id, message.replay), {
    since: '-20', presence: true, buffer: 10,
    onGap: (gap: Gap) => console.log(gap.reason === 'epoch', gap.channels.length),
    onPresence: ({ type, user, info }) => console.log(type === 'member-joined', user, info),
    onEnd: (error) => console.log(error.code === 'forbidden', error.retryAfter),
});
hub.subscribe('a', async (message: Message) => { await Promise.resolve(message.event); });

async function all(): Promise<void> {
    const { position, resumable } = await chat.ready;
    for await (const message of hub.subscribe<Chat>('chat.*', { since: position })) console.log(message.data.from, resumable);
    const published: Published = await hub.publish('chat.lobby', { text: 'hi', from: 'ann' }, { event: 'said', exclude: 'page-1', ttl: '10m', key: false, ifPosition: null });
    const page: HistoryPage<Chat> = await hub.history<Chat>('chat.lobby', { since: published.id, limit: 10 });
    const members: PresencePage = await hub.presence('chat.lobby', { limit: 10, cursor: '' });
    console.log(page.messages[0]?.data.text, page.gap?.reason, members.data[0]?.user, members.next_cursor, hub.position, hub.user, hub.state === 'open');
}

const off: () => void = hub.on('state', (state, error) => console.log(state === 'waiting', error?.code));
hub.on('message', (message) => console.log(message.channel));
hub.on('gap', (gap) => console.log(gap.position));
hub.on('error', (error) => console.log(error instanceof CarillonError && error.code === 'unreachable'));
off();
all().catch((error: unknown) => { if (!(error instanceof CarillonError)) throw error; console.log(error.status, error.position, error.cause); });
chat.close();
hub.close();

// @ts-expect-error there is no such event
hub.on('messages', () => {});
// @ts-expect-error data is unknown unless it is said what it is
hub.subscribe('a', (message) => message.data.text);
// @ts-expect-error nor such an option
connect('/', { tokens: 'x' });
// @ts-expect-error it is not for applications to write
hub.state = 'open';
// @ts-expect-error a publish has data
void hub.publish('a');
