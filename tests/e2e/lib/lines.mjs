// lines.mjs — POST /v1/messages as a stream: lines are written while results are read.
import http from 'node:http';
import { to } from './line.mjs';
import { Watched } from './wait.mjs';

export const LINES_TYPE = { 'Content-Type': 'application/x-ndjson' };
export const parseLines = (text) => text.trimEnd().split('\n').map((line) => JSON.parse(line));

export class LineStream extends Watched {
    results = [];         // parsed, in order of arrival; the last one has the summary
    status = null;
    over = null;          // 'ended', or the error that cut it
    #text = '';

    constructor(hub, { headers = {} } = {}) {
        super();
        this.request = http.request({ ...to(hub.api ?? hub), path: '/v1/messages', method: 'POST', headers: { ...LINES_TYPE, ...headers } });
        this.request.on('error', (error) => this.#end(error));
        this.request.on('response', (response) => {
            this.response = response;
            this.status = response.statusCode;
            response.on('data', (chunk) => this.#take(chunk.toString()));
            response.on('end', () => this.#end('ended'));
            response.on('error', (error) => this.#end(error));
            response.on('close', () => this.#end(new Error('cut')));
            this.changed();
        });
    }

    #end(how) { this.over ??= how; this.changed(); }
    #take(text) {
        const parts = (this.#text + text).split('\n');
        this.#text = parts.pop();
        this.results.push(...parts.map((line) => JSON.parse(line)));
        this.changed();
    }
    state() { return `status=${this.status} over=${this.over} ${this.results.length} results, last: ${JSON.stringify(this.results.slice(-3))}`; }

    write(item) { return this.request.write(`${typeof item === 'string' ? item : JSON.stringify(item)}\n`); }
    take(count) { return this.waitFor(() => this.results.length >= count || (this.over && Promise.reject(this.over)), `${count} results`); }
    // To its last result, however it ends; -> the line with the summary, undefined when it was cut.
    async ended() {
        await this.waitFor(() => this.over, 'the end of the results');
        return this.results.find((result) => result.summary);
    }
    end() { this.request.end(); return this.ended(); }
    close() { this.request.destroy(); }
}
