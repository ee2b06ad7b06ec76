/**
 * Guardrails and guarded models for `@openai/agents`.
 *
 * @example
 * ```js
 * import { Agent, Runner, OpenAIProvider } from "@openai/agents";
 * import { Guard } from "brightline";
 * import { guardProvider, guardrails } from "brightline/openai-agents";
 *
 * const guard = new Guard();
 * const rails = guardrails(guard);
 * const agent = new Agent({ name: "shop", inputGuardrails: [rails.input], outputGuardrails: [rails.output] });
 * const runner = new Runner({ modelProvider: guardProvider(new OpenAIProvider(), guard) });
 * ```
 *
 * @packageDocumentation
 */
import type {
    AgentOutputItem,
    InputGuardrail,
    Model,
    ModelProvider,
    ModelRequest,
    OutputGuardrail,
    StreamEvent,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrailDefinition,
    ToolOutputGuardrailDefinition,
    Usage,
} from '@openai/agents';
import { judgeNew, type ChatOptions, type Context } from './chat.js';
import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import { judgeInput, judgeOutput, toMessages } from './items.js';
import { over } from './over.js';
import type { GuardStream, Released } from './stream.js';
import { withholds, type Verdict } from './verdict.js';

export type { ChatOptions } from './chat.js';

/** How guardrails act on verdicts. */
export interface GuardrailsOptions {
    /** What their names begin with; `brightline` without it. */
    readonly name?: string | undefined;
    /**
     * Whether an input, an output or a tool call trips that the policy would redact: guardrails cannot replace them, a
     * {@link guardModel} can. `true` without it. The output of a tool is replaced in either case.
     */
    readonly tripOnRedact?: boolean | undefined;
    /** Whether a tool that trips ends the run with an exception instead of telling the model why. */
    readonly throwOnTools?: boolean | undefined;
    /** Told of every verdict. */
    readonly onVerdict?: ((verdict: Verdict) => void) | undefined;
}

/** Guardrails of an agent and of its tools. */
export interface Guardrails {
    /** For `inputGuardrails` of an agent. It ends before the model is called. */
    readonly input: InputGuardrail;
    /** For `outputGuardrails` of an agent. */
    readonly output: OutputGuardrail<any>;
    /** For `inputGuardrails` of a tool. */
    readonly toolInput: ToolInputGuardrailDefinition<any>;
    /** For `outputGuardrails` of a tool. */
    readonly toolOutput: ToolOutputGuardrailDefinition<any>;
}

/**
 * Guardrails that share a guard. Those that trip raise the exceptions of `@openai/agents`; the verdict is in `outputInfo`, also
 * where nothing trips.
 *
 * An output guardrail runs when the answer is complete. Of a streamed run, the answer has been shown by then: guard the model
 * with {@link guardModel}.
 */
export function guardrails(guard: Guard, options: GuardrailsOptions = {}): Guardrails {
    const { name = 'brightline', tripOnRedact = true, throwOnTools = false, onVerdict } = options;
    const trips = (verdict: Verdict) => withholds(verdict) || (verdict.action === 'redact' && tripOnRedact);
    const judge = async (messages: Context['messages']) => {
        const verdict = await guard.checkAsync(messages);
        onVerdict?.(verdict);
        return verdict;
    };
    const decided = (verdict: Verdict) => ({ outputInfo: verdict, tripwireTriggered: trips(verdict) });
    const ofTool = (verdict: Verdict, instead: string): ToolGuardrailFunctionOutput => {
        if (throwOnTools) return { behavior: { type: 'throwException' }, outputInfo: verdict };
        return { behavior: { type: 'rejectContent', message: verdict.message ?? instead }, outputInfo: verdict };
    };
    const allowed = (verdict: Verdict): ToolGuardrailFunctionOutput => ({ behavior: { type: 'allow' }, outputInfo: verdict });

    return {
        input: {
            name: `${name}_input`,
            runInParallel: false,
            async execute({ agent, input }) {
                const system = typeof agent.instructions === 'string' ? agent.instructions : undefined;
                const judged: Verdict[] = [];
                const told = (verdict: Verdict) => (judged.push(verdict), onVerdict?.(verdict));
                await judgeNew(guard, { messages: toMessages(input), system }, { onVerdict: told });
                const decisive = judged.find(withholds) ?? judged.find(trips) ?? judged.at(-1);
                return decisive ? decided(decisive) : { outputInfo: undefined, tripwireTriggered: false };
            },
        },
        output: {
            name: `${name}_output`,
            async execute({ agentOutput }) {
                return decided(await judge([{ role: 'assistant', content: asText(agentOutput) }]));
            },
        },
        toolInput: {
            type: 'tool_input',
            name: `${name}_tool_input`,
            async run({ toolCall }) {
                const verdict = await judge(toMessages([toolCall]));
                return trips(verdict) ? ofTool(verdict, 'This tool call is not allowed.') : allowed(verdict);
            },
        },
        toolOutput: {
            type: 'tool_output',
            name: `${name}_tool_output`,
            async run({ output, toolCall }) {
                const verdict = await judge(toMessages([{ type: 'function_call_result', name: toolCall.name, output: asText(output) }]));
                if (withholds(verdict)) return ofTool(verdict, 'The result of this tool is withheld.');
                if (verdict.redacted === undefined) return allowed(verdict);
                return { behavior: { type: 'rejectContent', message: verdict.redacted }, outputInfo: verdict };
            },
        },
    };
}

/** A text as it is, alone or as a tool gives it; of whatever else, its JSON. */
function asText(value: unknown): string {
    if (typeof value === 'string') return value;
    const { type, text, ...others } = (value ?? {}) as { type?: unknown; text?: unknown };
    const isText = type === 'text' && typeof text === 'string' && Object.keys(others).length === 0;
    return isText ? text : (JSON.stringify(value) ?? '');
}

/** A provider whose models are guarded, see {@link guardModel}. */
export function guardProvider<T extends ModelProvider>(provider: T, guard: Guard, options: ChatOptions = {}): T {
    return over(provider, {
        getModel: async (name?: string) => guardModel(await provider.getModel(name), guard, options),
    });
}

/**
 * The model with both sides judged: what is new in the input, the results of tools among it, before the model is called, and
 * the answer before an agent sees it. Text is released while it streams, tool calls when they are complete, so that no tool
 * runs with arguments that were not judged. The provider's own events are left out: they would pass on what is held back.
 *
 * What is withheld becomes the verdict's message, as the model's answer; with `withheld: "error"` the run fails with a
 * {@link BlockedError}.
 */
export function guardModel<T extends Model>(model: T, guard: Guard, options: ChatOptions = {}): T {
    return over(model, {
        async getResponse(request: ModelRequest) {
            const [judged, refusal] = await judgeModelRequest(guard, request, options);
            if (refusal) return { usage: NO_USAGE as unknown as Usage, output: [messageInstead(refusal)] };
            const { providerData, ...response } = await model.getResponse(judged);
            const [output, verdict] = await judgeOutput(guard, contextOf(judged), response.output);
            options.onVerdict?.(verdict);
            if (!output && options.withheld === 'error') throw new BlockedError(verdict);
            // What the provider gave repeats what is withheld.
            if (!output) return { ...response, output: [messageInstead(verdict)] };
            return { ...response, ...(output === response.output && providerData && { providerData }), output: [...output] };
        },

        async *getStreamedResponse(request: ModelRequest): AsyncGenerator<StreamEvent> {
            const [judged, refusal] = await judgeModelRequest(guard, request, options);
            if (refusal) {
                yield { type: 'response_started' };
                yield* instead(refusal);
                return;
            }
            const events = new ModelEvents(guard, contextOf(judged));
            try {
                for await (const event of model.getStreamedResponse(judged)) {
                    yield* events.take(event);
                    if (events.verdict) options.onVerdict?.(events.verdict);
                    if (!events.stopped) continue;
                    if (options.withheld === 'error') throw new BlockedError(events.stopped);
                    yield* instead(events.stopped);
                    return;
                }
            } finally {
                events.close();
            }
        },
    });
}

const NO_USAGE = { requests: 0, inputTokens: 0, outputTokens: 0, totalTokens: 0, inputTokensDetails: [], outputTokensDetails: [] };

async function judgeModelRequest(guard: Guard, request: ModelRequest, options: ChatOptions): Promise<[ModelRequest, Verdict?]> {
    const [input, refusal] = await judgeInput(guard, request.input, request.systemInstructions, options);
    return refusal ? [request, refusal] : [{ ...request, input }];
}

function contextOf({ input, systemInstructions: system }: ModelRequest): Context {
    return { messages: toMessages(input), ...(system && { system }) };
}

function messageInstead(verdict: Verdict): AgentOutputItem {
    const content = [{ type: 'output_text' as const, text: verdict.message ?? '' }];
    return { type: 'message', id: 'brightline', role: 'assistant', status: 'completed', content };
}

/** The rest of a stream in which something is withheld. */
function* instead(verdict: Verdict): Generator<StreamEvent> {
    yield { type: 'output_text_delta', itemId: 'brightline', delta: verdict.message ?? '' };
    const { inputTokens, outputTokens, totalTokens } = NO_USAGE;
    const usage = { inputTokens, outputTokens, totalTokens };
    yield { type: 'response_done', response: { id: 'brightline', usage, output: [messageInstead(verdict)] as never } };
}

/** A text while it arrives. */
interface Text {
    stream: GuardStream;
    shown: string;
    /** The event that its rest is told with. */
    last: Extract<StreamEvent, { type: 'output_text_delta' }>;
}

/** A streamed answer of a model while it arrives: a stream for each item, and the whole at the end. */
class ModelEvents {
    /** The finding that ended it. */
    stopped: Verdict | undefined;
    /** The verdict on the whole, or the one that ended it. */
    verdict: Verdict | undefined;
    readonly #guard: Guard;
    readonly #context: Context;
    readonly #texts = new Map<string | undefined, Text>();

    constructor(guard: Guard, context: Context) {
        this.#guard = guard;
        this.#context = context;
    }

    async *take(event: StreamEvent): AsyncGenerator<StreamEvent> {
        if (event.type === 'response_started') yield event;
        else if (event.type === 'output_text_delta') yield* this.#delta(event);
        else if (event.type === 'response_done') yield* this.#done(event);
    }

    /** Gives up what is held back. */
    close(): void {
        for (const { stream } of this.#texts.values()) stream.close();
    }

    async *#delta({ providerData: _, ...event }: Text['last']): AsyncGenerator<StreamEvent> {
        const known = this.#texts.get(event.itemId);
        const text = known ?? { stream: this.#guard.stream(this.#context), shown: '', last: event };
        this.#texts.set(event.itemId, text);
        text.last = event;
        const step = await text.stream.pushAsync(event.delta);
        yield* show(text, step.released);
        if (step.stopped) yield* this.#end(text);
    }

    async *#end(text: Text): AsyncGenerator<StreamEvent> {
        const { released, verdict } = await text.stream.finishAsync();
        yield* show(text, released);
        if (withholds(verdict)) this.stopped = this.verdict = verdict;
    }

    async *#done(event: Extract<StreamEvent, { type: 'response_done' }>): AsyncGenerator<StreamEvent> {
        for (const text of this.#texts.values()) {
            yield* this.#end(text);
            if (this.stopped) return;
        }
        const given = event.response.output.map((item) => this.#laid(item));
        const [output, verdict] = await judgeOutput(this.#guard, this.#context, given);
        this.verdict = verdict;
        if (!output) {
            this.stopped = verdict;
            return;
        }
        const { providerData, ...response } = event.response;
        const clean = output === given && given.every((item, at) => item === event.response.output[at]);
        // What the provider gave repeats what is redacted.
        yield { type: event.type, response: { ...response, ...(clean && providerData && { providerData }), output: [...output] } };
    }

    /** The item with the text that was shown of it: nothing is found twice. */
    #laid<T extends object>(item: T): T {
        const { id, content } = item as { id?: string; content?: { type: string; text: string }[] };
        const text = this.#texts.get(id) ?? (this.#texts.size === 1 ? this.#texts.get(undefined) : undefined);
        const [part, ...others] = Array.isArray(content) ? content : [];
        if (!text || part?.type !== 'output_text' || others.length > 0 || part.text === text.shown) return item;
        return { ...item, content: [{ type: part.type, text: text.shown }] };
    }
}

function* show(text: Text, released: readonly Released[]): Generator<StreamEvent> {
    const delta = released.map((it) => it.text).join('');
    text.shown += delta;
    if (delta !== '') yield { ...text.last, delta };
}
