// Requests and whole answers of the Responses API.

import { BlockedError, BrightlineError } from './errors.js';
import type { ChatOptions, Context } from './chat.js';
import type { Guard } from './guard.js';
import { judgeInput, judgeOutput, toMessages } from './items.js';
import type { Verdict } from './verdict.js';

type Loose = Record<string, any>;

/** What the API takes. @internal */
export interface ResponsesBody {
    input?: string | object[];
    instructions?: string | null;
    [key: string]: unknown;
}

/** The request with placeholders where something is redacted, or why it is withheld. @internal */
export async function judgeResponsesRequest(
    guard: Guard,
    body: ResponsesBody,
    options: ChatOptions,
): Promise<[ResponsesBody, Verdict?]> {
    const { input, instructions } = body;
    if (typeof input !== 'string' && !Array.isArray(input)) {
        throw new BrightlineError('BL_INPUT', '`input` is missing: there is nothing to judge', { path: 'input' });
    }
    const variables = (body['prompt'] as Loose | undefined)?.['variables'];
    if (variables && Object.keys(variables).length > 0) {
        throw new BrightlineError('BL_UNGUARDED', '`prompt.variables` is not judged: give its texts as `input`');
    }
    const [judged, withheld] = await judgeInput(guard, input, instructions ?? undefined, options);
    return withheld ? [body, withheld] : [{ ...body, input: judged }];
}

/** What an answer to the request follows. @internal */
export function contextOf(body: ResponsesBody): Context {
    return { messages: toMessages(body.input ?? []), ...(body.instructions && { system: body.instructions }) };
}

/** The response with placeholders, or with a message in place of what is withheld. @internal */
export async function judgeResponse(guard: Guard, body: ResponsesBody, response: Loose, options: ChatOptions): Promise<Loose> {
    const given: Loose[] = response['output'] ?? [];
    if (given.length === 0) return { ...response, output_text: '' };
    const [output, verdict] = await judgeOutput(guard, contextOf(body), given);
    options.onVerdict?.(verdict);
    if (output) return { ...response, output, output_text: textOf(output) };
    if (options.withheld === 'error') throw new BlockedError(verdict);
    return filtered(response, [messageInstead(verdict)]);
}

/** The response that stands in for an answer that is withheld. @internal */
export function responseInstead(verdict: Verdict, model: unknown): Loose {
    return filtered(begun(model), [messageInstead(verdict)]);
}

/** A response before it has output. @internal */
export function begun(model: unknown): Loose {
    return {
        id: 'resp_brightline',
        object: 'response',
        created_at: Math.floor(Date.now() / 1000),
        status: 'in_progress',
        error: null,
        incomplete_details: null,
        instructions: null,
        metadata: {},
        model: model ?? '',
        output: [],
        parallel_tool_calls: true,
        temperature: null,
        tool_choice: 'auto',
        tools: [],
        top_p: null,
    };
}

/** The response that ends with something withheld. @internal */
export function filtered(response: Loose, output: Loose[]): Loose {
    const incomplete_details = { reason: 'content_filter' };
    return { ...response, status: 'incomplete', incomplete_details, output, output_text: textOf(output) };
}

/** The message that stands in for what is withheld. @internal */
export function messageInstead(verdict: Verdict): Loose {
    return {
        id: 'msg_brightline',
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: verdict.message ?? '', annotations: [] }],
    };
}

/** What the `openai` package has as `output_text`. @internal */
export function textOf(output: readonly Loose[]): string {
    const parts: Loose[] = output.flatMap((item) => (item['type'] === 'message' ? item['content'] : []));
    return parts.map((part) => (part['type'] === 'output_text' ? part['text'] : '')).join('');
}
