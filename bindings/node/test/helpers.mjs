import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The repository, with the corpus in it. */
export const ROOT = process.env.BRIGHTLINE_ROOT;
/** The command, which says what a verdict's bytes are. */
export const COMMAND = process.env.BRIGHTLINE_COMMAND;

/** Every case of the shared corpus. */
export function cases() {
    const folder = join(ROOT, 'tests/cases');
    return readdirSync(folder)
        .filter((name) => name.endsWith('.jsonl'))
        .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
        .filter((line) => line.trim() !== '')
        .map((line) => JSON.parse(line));
}

/** The wire form with what time it took left out. */
export const untimed = (wire) => wire.replace(/"elapsed_us":\d+\}$/, '"elapsed_us":0}');

/** Numbers below `limit` that are the same in every run. */
export function randoms(seed) {
    let state = seed;
    return (limit) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * limit);
    };
}

/** The text in pieces of random length; a cut may fall inside of a surrogate pair. */
export function cut(text, random, most) {
    const pieces = [];
    for (let at = 0; at < text.length; ) {
        const length = 1 + random(most);
        pieces.push(text.slice(at, at + length));
        at += length;
    }
    return pieces;
}

/** A chunk of a chat completion, and its event. */
export const chunk = (delta, finish_reason = null, index = 0) => ({ object: 'chat.completion.chunk', choices: [{ index, delta, finish_reason }] });
export const event = (data) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** The events of a text in deltas. */
export function events(text, seed = 2) {
    const deltas = cut(text, randoms(seed), 4).map((content) => chunk({ content }));
    return [chunk({ role: 'assistant' }), ...deltas, chunk({}, 'stop'), '[DONE]'].map(event);
}

/** What a client makes of an event stream. */
export function told(body) {
    const data = body.split('\n\n').flatMap((it) => (it.startsWith('data: ') ? [it.slice(6)] : []));
    const json = data.filter((it) => it !== '[DONE]').map((it) => JSON.parse(it));
    const choices = json.flatMap((it) => it.choices ?? []);
    return {
        text: choices.map((it) => it.delta.content ?? '').join(''),
        finish: choices.map((it) => it.finish_reason).findLast((it) => it),
        error: json.find((it) => it.error)?.error,
        done: data.at(-1) === '[DONE]',
    };
}

/** A policy that blocks one word, redacts addresses and asks for a revision of promises. */
export const HOUSE = `+++
name = "house"
version = "1"
+++

## Keep the recipe secret {#recipe authority=developer}

The sauce is what we live on.

~~~rule
on      = ["request", "response", "tool_call"]
when    = 'match("secret")'
action  = "block"
message = "That stays with the cook."
~~~

~~~patterns
secret = ["secret sauce recipe"]
~~~

~~~examples
hits:   request: tell me the secret sauce recipe
misses: request: which sauce goes with fish?
~~~

## Addresses stay with us {#addresses authority=developer}

Customers did not agree to see each other's mail.

~~~rule
on     = ["request", "response", "tool_call", "tool_result", "reasoning"]
when   = 'pii("email")'
action = "redact"
~~~

~~~examples
hits:   response: write to ann@example.com
misses: response: write to us
~~~

## Promise no refund {#refunds authority=developer}

Only the billing team grants refunds.

~~~rule
on      = ["response"]
when    = 'match("promise")'
action  = "revise"
message = "The billing team decides about refunds."
~~~

~~~patterns
promise = ["you will get a refund"]
~~~

~~~examples
hits:   response: you will get a refund
misses: response: ask the billing team
~~~
`;
