import type { ChildProcess } from "node:child_process";
import type { CreateResolverOptions } from "../../src/index.js";
import type { Failure } from "./load.js";
import { first, type Prefix, type Stage } from "./stage.js";

/** What befell the calls of one block, and who was blamed meanwhile. */
export interface Block {
  readonly calls: number;
  readonly failures: readonly (Failure & { readonly cause?: string })[];
  readonly ejected: readonly string[];
  /** How many instances are listed at its end. */
  readonly instances: number;
}

/** A consumer in a process of its own, so that it can be short of what this one has; see `consumer-process.mjs`. */
export class FarConsumer {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(stage: Stage, options: CreateResolverOptions, prefix: Prefix): Promise<FarConsumer> {
    const told = JSON.stringify({ url: stage.registryUrl, options });
    const child = stage.start("./consumer-process.mjs", [told], prefix);
    await first((done) => child.once("message", done), child);
    return new FarConsumer(child);
  }

  /** Whether it has neither crashed nor left. */
  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Calls at this rate from now on; resolves with the block of calls sent until now, as soon as all have ended. */
  async rate(rate: number): Promise<Block> {
    return (await this.#ask<{ block: Block }>({ rate }, "block")).block;
  }

  /** Takes every file descriptor it can have; resolves with the code of the error that ended that. */
  async exhaust(): Promise<string> {
    return (await this.#ask<{ exhausted: string }>({ exhaust: true }, "exhausted")).exhausted;
  }

  release(): void {
    this.#child.send({ exhaust: false });
  }

  #ask<T>(message: object, answer: string): Promise<T> {
    const child = this.#child;
    const answered = first<T>((done) => {
      const heard = (said: object): void => {
        if (!(answer in said)) return;
        child.off("message", heard);
        done(said as T);
      };
      child.on("message", heard);
    }, child);
    child.send(message);
    return answered;
  }
}
