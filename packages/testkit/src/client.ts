// What a client of the shop's GraphQL API needs, and no more.
import { randomUUID } from "node:crypto";

const REQUEST_TIMEOUT_MS = 15_000;

export interface GraphqlFailure {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: {
    readonly code?: string;
    readonly reason?: string;
    readonly traceId?: string;
  };
}

export interface GraphqlAnswer<T> {
  readonly data: T | null | undefined;
  readonly errors: readonly GraphqlFailure[];
  readonly status: number;
  readonly headers: Headers;
}

/** A small GraphQL client of one shop. */
export class Client {
  readonly #url: string;
  /** Sent as a bearer token when it is set. */
  token: string | undefined;

  constructor(url: string, token?: string) {
    this.#url = url;
    this.token = token;
  }

  async graphql<T = Record<string, unknown>>(
    query: string,
    variables: Record<string, unknown> = {},
  ): Promise<GraphqlAnswer<T>> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(this.token === undefined ? {} : { authorization: `Bearer ${this.token}` }),
      },
      body: JSON.stringify({ query, variables }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const { status, headers } = response;
    const { data, errors = [] } = (await response.json()) as Partial<GraphqlAnswer<T>>;
    return { data, errors, status, headers };
  }

  /** The data of an answer that has no errors; throws otherwise. */
  async ask<T = Record<string, unknown>>(
    query: string,
    variables: Record<string, unknown> = {},
  ): Promise<T> {
    const { data, errors, status } = await this.graphql<T>(query, variables);
    if (errors.length > 0 || data === null || data === undefined) {
      throw new Error(`HTTP ${status}: ${JSON.stringify(errors)}`);
    }
    return data;
  }

  /** Registers somebody new and signs in as them; returns who it is. */
  async becomeNewUser(): Promise<{ email: string; password: string }> {
    const input = { email: `${randomUUID()}@example.com`, password: randomUUID() };
    await this.ask("mutation ($input: RegisterUserInput!) { registerUser(input: $input) }", {
      input,
    });
    await this.login(input);
    return input;
  }

  async login(input: { email: string; password: string }): Promise<void> {
    const { login } = await this.ask<{ login: string }>(
      "mutation ($input: AuthLoginInput!) { login(input: $input) }",
      { input },
    );
    this.token = login;
  }
}
