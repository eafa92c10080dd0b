/** What a program is called on, whatever it speaks: gRPC, or HTTP at the gateway. */
export interface ProgramServer {
  readonly port: number;
  /** Tells its callers to go elsewhere, and goes on answering those that come all the same. */
  drain(): void;
  /** Finishes the calls there are, then closes; cuts them off after `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}
