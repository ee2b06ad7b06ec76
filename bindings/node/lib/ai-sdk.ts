/**
 * Middleware for the language models of Vercel's AI SDK (`ai` 7, specification version 4).
 *
 * @example
 * ```js
 * import { wrapLanguageModel } from "ai";
 * import { Guard } from "brightline";
 * import { guardMiddleware } from "brightline/ai-sdk";
 *
 * const guarded = wrapLanguageModel({ model, middleware: guardMiddleware(new Guard()) });
 * ```
 *
 * @packageDocumentation
 */
import type {
    JSONObject,
    LanguageModelV4CallOptions,
    LanguageModelV4Content,
    LanguageModelV4FinishReason,
    LanguageModelV4GenerateResult,
    LanguageModelV4Message,
    LanguageModelV4Middleware,
    LanguageModelV4Prompt,
    LanguageModelV4StreamPart,
    LanguageModelV4ToolResultOutput,
    LanguageModelV4Usage,
} from '@ai-sdk/provider' with { 'resolution-mode': 'import' };
import { judgeNew } from './chat.js';
import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import type { Message } from './input.js';
import type { GuardStream, Released } from './stream.js';
import { withholds, type Redaction, type Verdict } from './verdict.js';

/** How the middleware acts on verdicts. */
export interface GuardMiddlewareOptions {
    /**
     * `message`: the answer is the verdict's message, which is safe to show, and the finish reason is `content-filter`.
     * `error`: the call fails with a {@link BlockedError}, and a stream ends with an `error` part that holds one.
     * `message` without it.
     */
    readonly withheld?: 'message' | 'error';
    /** Told of every verdict on a request, a tool result or a whole answer. */
    readonly onVerdict?: (verdict: Verdict) => void;
}

/**
 * Judges what goes into a model and what comes out of it.
 *
 * What is new in the prompt (all after the last answer) is judged before the model is called: what is withheld never
 * reaches it, what is to be redacted reaches it with placeholders. Of the answer, text and reasoning are released while
 * they arrive, tool calls when they are complete. The verdict on the whole answer is under `brightline` in the provider
 * metadata.
 */
export function guardMiddleware(guard: Guard, options: GuardMiddlewareOptions = {}): LanguageModelV4Middleware {
    const { withheld = 'message', onVerdict } = options;
    /** What the prompt came to, for the call with these parameters. */
    const refused = new WeakMap<LanguageModelV4CallOptions, Verdict>();

    return {
        specificationVersion: 'v4',

        async transformParams({ params }) {
            const { prompt, verdict } = await judgePrompt(guard, params.prompt, onVerdict);
            if (verdict && withheld === 'error') throw new BlockedError(verdict);
            const judged = { ...params, prompt };
            if (verdict) refused.set(judged, verdict);
            return judged;
        },

        async wrapGenerate({ doGenerate, params }) {
            const refusal = refused.get(params);
            if (refusal) return { ...answer(refusal), usage: NO_USAGE, warnings: [] };
            const result = await doGenerate();
            const messages = toMessages(params.prompt);
            const content = result.content.map(block);
            // Structured output is parsed from this text where it is given, so it is judged as part of the answer.
            const { structuredOutputText, ...rest } = result;
            if (structuredOutputText) content.push({ type: 'text', text: structuredOutputText });
            const verdict = await guard.checkAsync([...messages, { role: 'assistant', content }]);
            onVerdict?.(verdict);
            if (withholds(verdict)) {
                if (withheld === 'error') throw new BlockedError(verdict);
                return { ...rest, ...answer(verdict), providerMetadata: metadata(verdict, result.providerMetadata) };
            }
            const texts = byPart(verdict.redactions);
            const structured = texts.get(result.content.length) ?? structuredOutputText;
            return {
                ...rest,
                ...(structured !== undefined && { structuredOutputText: structured }),
                content: result.content.map((part, at) => redactedContent(part, texts.get(at))),
                providerMetadata: metadata(verdict, result.providerMetadata),
            };
        },

        async wrapStream({ doStream, params }) {
            const refusal = refused.get(params);
            if (refusal) {
                const parts = [{ type: 'stream-start' as const, warnings: [] }, ...instead(refusal, NO_USAGE)];
                return { stream: streamOf(parts) };
            }
            const { stream, ...rest } = await doStream();
            const answer = new Answer(guard, toMessages(params.prompt));
            const transform = new TransformStream<LanguageModelV4StreamPart, LanguageModelV4StreamPart>({
                async transform(part, to) {
                    for await (const released of answer.take(part)) to.enqueue(released);
                    if (answer.verdict && part.type === 'finish') onVerdict?.(answer.verdict);
                    if (!answer.stopped) return;
                    onVerdict?.(answer.stopped);
                    for (const part of answer.close()) to.enqueue(part);
                    if (withheld === 'error') {
                        to.enqueue({ type: 'error', error: new BlockedError(answer.stopped) });
                        to.terminate();
                        return;
                    }
                    for (const part of instead(answer.stopped, NO_USAGE)) to.enqueue(part);
                    to.terminate();
                },
            });
            return { ...rest, stream: stream.pipeThrough(transform) };
        },
    };
}

const NO_USAGE: LanguageModelV4Usage = {
    inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

const FILTERED: LanguageModelV4FinishReason = { unified: 'content-filter', raw: undefined };

/** The id of the text that stands in for what is withheld. */
const INSTEAD = 'brightline';

type Metadata = Record<string, JSONObject>;

function metadata(verdict: Verdict, others: Metadata = {}): Metadata {
    return { ...others, brightline: verdict.toJSON() as unknown as JSONObject };
}

/** The answer that stands in for what is withheld. */
function answer(verdict: Verdict): Pick<LanguageModelV4GenerateResult, 'content' | 'finishReason' | 'providerMetadata'> {
    return {
        content: [{ type: 'text', text: verdict.message ?? '' }],
        finishReason: FILTERED,
        providerMetadata: metadata(verdict),
    };
}

/** The rest of a stream in which something is withheld. */
function instead(verdict: Verdict, usage: LanguageModelV4Usage): LanguageModelV4StreamPart[] {
    return [
        { type: 'text-start', id: INSTEAD },
        { type: 'text-delta', id: INSTEAD, delta: verdict.message ?? '' },
        { type: 'text-end', id: INSTEAD },
        { type: 'finish', usage, finishReason: FILTERED, providerMetadata: metadata(verdict) },
    ];
}

function streamOf<T>(parts: T[]): ReadableStream<T> {
    return new ReadableStream({
        start(controller) {
            for (const part of parts) controller.enqueue(part);
            controller.close();
        },
    });
}

interface Judged {
    /** With placeholders where something is redacted. */
    prompt: LanguageModelV4Prompt;
    /** Why the model must not see it. */
    verdict?: Verdict;
}

async function judgePrompt(
    guard: Guard,
    prompt: LanguageModelV4Prompt,
    onVerdict: GuardMiddlewareOptions['onVerdict'],
): Promise<Judged> {
    const [verdicts, verdict] = await judgeNew(guard, { messages: toMessages(prompt) }, { onVerdict });
    if (verdict) return { prompt, verdict };
    return { prompt: prompt.map((message, at) => redactedMessage(message, byPart(verdicts.get(at)?.redactions ?? []))) };
}

/** Redacted texts by the index of their part. */
function byPart(redactions: readonly Redaction[]): Map<number, string> {
    return new Map(redactions.map((it) => [it.part ?? 0, it.text]));
}

function redactedMessage(message: LanguageModelV4Message, texts: Map<number, string>): LanguageModelV4Message {
    if (texts.size === 0 || message.role === 'system') return message;
    const content = message.content.map((part, at) => {
        const text = texts.get(at);
        if (text === undefined) return part;
        if (part.type === 'text') return { ...part, text };
        return part.type === 'tool-result' ? { ...part, output: { type: 'text' as const, value: text } } : part;
    });
    return { ...message, content } as LanguageModelV4Message;
}

function redactedContent(part: LanguageModelV4Content, text: string | undefined): LanguageModelV4Content {
    if (text === undefined) return part;
    switch (part.type) {
        case 'text':
        case 'reasoning':
            return { ...part, text };
        case 'tool-call':
            return { ...part, input: text };
        case 'tool-result':
            return { ...part, result: text };
        default:
            return part;
    }
}

/** The prompt as the guard reads it; parts keep their indexes. */
function toMessages(prompt: LanguageModelV4Prompt): Message[] {
    return prompt.map(({ role, content }): Message => {
        if (typeof content === 'string') return { role, content };
        return { role, content: content.map(block) };
    });
}

type Part = LanguageModelV4Content | Exclude<LanguageModelV4Message['content'], string>[number];

function block(part: Part): object {
    switch (part.type) {
        case 'text':
        case 'reasoning':
            return { type: part.type, text: part.text };
        case 'tool-call':
            return { type: 'tool_use', name: part.toolName, input: part.input };
        case 'tool-result':
            return { type: 'tool_result', content: 'output' in part ? outputText(part.output) : asText(part.result) };
        default:
            return { type: part.type };
    }
}

function outputText(output: LanguageModelV4ToolResultOutput): string | object[] {
    switch (output.type) {
        case 'text':
        case 'error-text':
            return output.value;
        case 'json':
        case 'error-json':
            return asText(output.value);
        case 'execution-denied':
            return output.reason ?? '';
        case 'content':
            return output.value.map((it) => (it.type === 'text' ? { type: 'text', text: it.text } : { type: it.type }));
    }
}

function asText(value: unknown): string {
    return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The deltas of a tool call, which wait until it is complete. */
interface Waiting {
    start: Extract<LanguageModelV4StreamPart, { type: 'tool-input-start' }>;
    input: string;
}

/** A text or a reasoning that is arriving. */
interface Block {
    kind: 'text' | 'reasoning';
    stream: GuardStream;
    released: string;
}

/** An answer while it arrives: a buffer for each text, reasoning and tool call, and the whole at the end. */
class Answer {
    /** The finding that ended it. */
    stopped: Verdict | undefined;
    /** The verdict on the whole. */
    verdict: Verdict | undefined;
    readonly #guard: Guard;
    readonly #messages: Message[];
    readonly #blocks = new Map<string, Block>();
    readonly #waiting = new Map<string, Waiting>();
    /** What has arrived, for the verdict on the whole: texts with placeholders, so that nothing is found twice. */
    readonly #content: object[] = [];

    constructor(guard: Guard, messages: Message[]) {
        this.#guard = guard;
        this.#messages = messages;
    }

    /** What may be shown after this part. */
    async *take(part: LanguageModelV4StreamPart): AsyncGenerator<LanguageModelV4StreamPart> {
        switch (part.type) {
            case 'text-start':
            case 'reasoning-start': {
                const kind = part.type === 'text-start' ? 'text' : 'reasoning';
                this.#blocks.set(key(kind, part.id), { kind, stream: this.#guard.stream(this.#messages), released: '' });
                yield part;
                return;
            }
            case 'text-delta':
            case 'reasoning-delta': {
                const kind = part.type === 'text-delta' ? 'text' : 'reasoning';
                const block = this.#block(kind, part.id);
                const step = await block.stream.pushAsync(part.delta, kind);
                const delta = gather(block, step.released);
                if (delta) yield { ...part, delta };
                if (step.stopped) this.stopped = (await block.stream.finishAsync()).verdict;
                return;
            }
            case 'text-end':
            case 'reasoning-end': {
                const kind = part.type === 'text-end' ? 'text' : 'reasoning';
                const block = this.#block(kind, part.id);
                const end = await block.stream.finishAsync();
                const delta = gather(block, end.released);
                if (delta) yield { type: `${kind}-delta`, id: part.id, delta };
                if (withholds(end.verdict)) {
                    this.stopped = end.verdict;
                    return;
                }
                this.#blocks.delete(key(kind, part.id));
                this.#content.push({ type: kind, text: block.released });
                yield part;
                return;
            }
            case 'tool-input-start':
                this.#waiting.set(part.id, { start: part, input: '' });
                return;
            case 'tool-input-delta': {
                const waiting = this.#waiting.get(part.id);
                if (waiting) waiting.input += part.delta;
                return;
            }
            case 'tool-input-end': {
                const waiting = this.#waiting.get(part.id);
                this.#waiting.delete(part.id);
                if (!waiting) return;
                const { start, input } = waiting;
                const judged = await this.#judge({ type: 'tool_use', name: start.toolName, input });
                if (judged === undefined) return;
                yield start;
                yield { type: 'tool-input-delta', id: part.id, delta: judged.text ?? input };
                yield part;
                return;
            }
            case 'tool-call':
            case 'tool-result': {
                const judged = await this.#judge(block(part));
                if (judged === undefined) return;
                const shown = redactedContent(part, judged.text);
                this.#content.push(block(shown));
                yield shown as LanguageModelV4StreamPart;
                return;
            }
            case 'raw':
                // What the provider sent, word for word: it would pass on what is held back.
                return;
            case 'finish': {
                yield* this.#rest();
                if (this.stopped) return;
                this.verdict = await this.#guard.checkAsync(this.#whole(this.#content));
                if (withholds(this.verdict)) this.stopped = this.verdict;
                else yield { ...part, providerMetadata: metadata(this.verdict, part.providerMetadata) };
                return;
            }
            default:
                yield part;
        }
    }

    /** Ends what is open. What it holds back stays there. */
    *close(): Generator<LanguageModelV4StreamPart> {
        for (const [name, { kind, stream }] of this.#blocks) {
            stream.close();
            yield { type: `${kind}-end`, id: name.slice(kind.length + 1) };
        }
        this.#blocks.clear();
    }

    /** Ends blocks that the provider left open. */
    async *#rest(): AsyncGenerator<LanguageModelV4StreamPart> {
        for (const [name, { kind }] of [...this.#blocks]) {
            yield* this.take({ type: `${kind}-end`, id: name.slice(kind.length + 1) });
            if (this.stopped) return;
        }
    }

    /** The block of an id, also where the provider did not announce it. */
    #block(kind: Block['kind'], id: string): Block {
        const name = key(kind, id);
        const known = this.#blocks.get(name);
        if (known) return known;
        const block: Block = { kind, stream: this.#guard.stream(this.#messages), released: '' };
        this.#blocks.set(name, block);
        return block;
    }

    /** The redacted text of a block where there is one; nothing where the block is withheld. */
    async #judge(content: object): Promise<{ text: string | undefined } | undefined> {
        const verdict = await this.#guard.checkAsync(this.#whole([content]));
        if (withholds(verdict)) {
            this.stopped = verdict;
            return undefined;
        }
        return { text: verdict.redacted };
    }

    #whole(content: object[]): Message[] {
        return [...this.#messages, { role: 'assistant', content }];
    }
}

function key(kind: Block['kind'], id: string): string {
    return `${kind} ${id}`;
}

function gather(block: Block, released: readonly Released[]): string {
    const delta = released.map((it) => it.text).join('');
    block.released += delta;
    return delta;
}
