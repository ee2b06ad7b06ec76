import { BrightlineError, fromNative } from './errors.js';
import { toJson, toJsonList, type Input, type Switch } from './input.js';
import { addon, PACKAGE, type NativeGuard, type NativeOptions } from './native.js';
import { unpacked } from './portion.js';
import { GuardStream } from './stream.js';
import { GuardTransform, type TransformOptions } from './transform.js';
import { Verdict } from './verdict.js';

/** What one principal set. */
export interface PrincipalSettings {
    /** Clauses it switched. */
    readonly switch?: Readonly<Record<string, Switch>>;
    /** Clauses that lower principals may not change. */
    readonly lock?: readonly string[];
    /** Clauses over which the next lower principal may use this one's power. */
    readonly grant?: readonly string[];
    /** Facts about the deployment. */
    readonly tags?: readonly string[];
}

/** What an agent may do. */
export interface Scope {
    /** The tools it may call. */
    readonly allowed_tools?: readonly string[];
    /** Conditions on the arguments, by tool. */
    readonly tool_constraints?: Readonly<Record<string, string>>;
    /** The most it may spend. */
    readonly max_cost?: number;
    /** The longest it may take. */
    readonly latest_time?: number;
}

/** What a deployment sets: the same tables as in a settings file. */
export interface DeploymentSettings {
    /** What the platform set. */
    readonly system?: PrincipalSettings;
    /** What the deployer set. */
    readonly operator?: PrincipalSettings;
    /** What the host knows. */
    readonly context?: { readonly tags?: readonly string[]; readonly yields?: readonly string[] };
    /** Tags, as in `context`. */
    readonly tags?: readonly string[];
    /** What an agent may do. */
    readonly scope?: Scope;
}

/** How a guard is made. */
export interface GuardOptions {
    /** A shipped policy by name, a policy document (`.md`) or an artifact (`.blp`) by path. `default` without it. */
    readonly policy?: string;
    /** What the deployment set, or the path of a TOML file that says so. */
    readonly settings?: DeploymentSettings | string;
    /**
     * The folder of the models, or `false` for none. Without it they are looked for in `BRIGHTLINE_MODELS`, beside the
     * policy, and in this package, which has them.
     */
    readonly models?: string | false;
    /** Whether to refuse to start where a clause needs a model and there is none. */
    readonly requireModels?: boolean;
    /** How many milliseconds the models may take for one check. Clauses that needed them then follow their `on_error`. */
    readonly deadlineMs?: number;
    /** Whether to score every label for every message. */
    readonly scores?: boolean;
}

/** The name, the version and the hash of a policy or of models. */
export interface Named {
    /** The name. */
    readonly name: string;
    /** The version. */
    readonly version: string;
    /** 64 hexadecimal digits of the content's hash. */
    readonly hash: string;
}

/** A policy with its settings and models, ready to judge. Make it once and use it for every message. */
export class Guard {
    readonly #native: NativeGuard;

    /**
     * Compiles or loads the policy, and loads the models. Takes a fraction of a second.
     *
     * @throws {@link BrightlineError} `BL_OPTIONS`, `BL_POLICY`, `BL_SETTINGS` or `BL_MODEL`.
     */
    constructor(options: GuardOptions = {}) {
        const native = toNative(options);
        try {
            this.#native = new addon.NativeGuard(native);
        } catch (error) {
            throw fromNative(error);
        }
    }

    /** The policy that is applied. */
    get policy(): Named {
        return this.#native.policy;
    }

    /** The models that are asked, where there are any. */
    get models(): Named | undefined {
        return this.#native.models ?? undefined;
    }

    /**
     * Judges a message on this thread: microseconds where rules or the screen settle it, milliseconds where the full model
     * is needed. Servers use {@link Guard.checkAsync}.
     *
     * @throws {@link BrightlineError} `BL_INPUT`, never because of what a text says.
     */
    check(input: Input): Verdict {
        const record = toJson(input);
        try {
            return new Verdict(this.#native.check(record));
        } catch (error) {
            throw fromNative(error);
        }
    }

    /**
     * Judges a message on a thread of the pool.
     *
     * @param options - With a `signal` that aborts, the promise rejects with its reason at once.
     * @throws {@link BrightlineError} `BL_INPUT`; the reason of the signal.
     */
    async checkAsync(input: Input, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Verdict> {
        options.signal?.throwIfAborted();
        const judged = this.#native.checkAsync(toJson(input));
        try {
            return new Verdict(await unlessAborted(judged, options.signal));
        } catch (error) {
            throw options.signal?.aborted ? error : fromNative(error);
        }
    }

    /**
     * Judges many messages on all cores; the verdicts stand in the order of the inputs.
     *
     * @param options - `threads` limits how many cores are used.
     * @throws {@link BrightlineError} `BL_INPUT` for the first that cannot be judged, with its `index`.
     */
    async checkBatch(
        inputs: readonly Input[],
        options: { readonly threads?: number | undefined } = {},
    ): Promise<Verdict[]> {
        const { threads } = options;
        if (threads !== undefined && !(Number.isInteger(threads) && threads > 0)) {
            throw new BrightlineError('BL_OPTIONS', `\`threads\` is \`${threads}\`; it is a whole number above 0`);
        }
        let at = 0;
        const next = () => {
            if (at >= inputs.length) return null;
            const portion = inputs.slice(at, at + PORTION);
            at += portion.length;
            return toJsonList(portion, at - portion.length);
        };
        try {
            return unpacked(await this.#native.checkBatch(next, threads));
        } catch (error) {
            throw fromNative(error);
        }
    }

    /**
     * Judges a response while it arrives.
     *
     * @param context - The conversation so far, which ends with the request.
     * @throws {@link BrightlineError} `BL_INPUT`.
     */
    stream(context: Input): GuardStream {
        const record = toJson(context);
        try {
            return new GuardStream(this.#native.stream(record));
        } catch (error) {
            throw fromNative(error);
        }
    }

    /**
     * Judges a response while it passes through: text goes in, text that may be shown comes out.
     *
     * @param context - The conversation so far, which ends with the request.
     * @throws {@link BrightlineError} `BL_INPUT`, `BL_OPTIONS`.
     */
    transform(context: Input, options: TransformOptions = {}): GuardTransform {
        return new GuardTransform(this.stream(context), options);
    }
}

/** How many records a thread takes at once: enough that taking costs nothing, few enough that threads end together. */
const PORTION = 64;

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    if (!signal) return promise;
    return new Promise((resolve, reject) => {
        const abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
    });
}

const TYPES: Record<keyof GuardOptions, readonly string[]> = {
    policy: ['string'],
    settings: ['object', 'string'],
    models: ['string', 'boolean'],
    requireModels: ['boolean'],
    deadlineMs: ['number'],
    scores: ['boolean'],
};

function toNative(options: GuardOptions): NativeOptions {
    if (typeof options !== 'object' || options === null) {
        throw new BrightlineError('BL_OPTIONS', 'expected an object of options');
    }
    for (const [key, value] of Object.entries(options)) {
        const types = (TYPES as Record<string, readonly string[] | undefined>)[key];
        if (!types) {
            throw new BrightlineError('BL_OPTIONS', `unknown option \`${key}\`; known are ${Object.keys(TYPES).join(', ')}`);
        }
        if (value !== undefined && (!types.includes(typeof value) || value === null)) {
            throw new BrightlineError('BL_OPTIONS', `\`${key}\`: expected ${types.join(' or ')}`);
        }
    }
    const { policy = 'default', settings, models, requireModels = false, deadlineMs, scores = false } = options;
    if (models === (true as unknown)) {
        throw new BrightlineError('BL_OPTIONS', '`models`: expected a folder, or `false` for none');
    }
    if (deadlineMs !== undefined && !(Number.isInteger(deadlineMs) && deadlineMs >= 0 && deadlineMs < 2 ** 32)) {
        throw new BrightlineError('BL_OPTIONS', `\`deadlineMs\` is \`${deadlineMs}\`; it is a whole number of milliseconds`);
    }
    return {
        policy,
        package: PACKAGE,
        ...(typeof settings === 'string' && { settingsFile: settings }),
        ...(typeof settings === 'object' && { settings: JSON.stringify(settings) }),
        ...(typeof models === 'string' && { models }),
        noModels: models === false,
        requireModels,
        ...(deadlineMs !== undefined && { deadlineMs }),
        scores,
    };
}
