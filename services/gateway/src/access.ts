/** Signing in and out, and one's own data. */
import type { AccessServiceService, Client, Session, Tokens } from "@piata/contracts/access";
import { Role } from "@piata/contracts/item";
import { type User, UserServiceService } from "@piata/contracts/user";
import { unauthenticated } from "@piata/kit/errors";
import type { Channel, RpcClient } from "@piata/kit/rpc-client";
import type { GraphqlContext } from "./graphql-context.js";

interface Credentials {
  input: { email: string; password: string };
}

interface PasswordChange {
  input: { currentPassword: string; newPassword: string };
}

export interface AccessOptions {
  channel: Channel;
  access: RpcClient<AccessServiceService>;
}

/** The resolvers of sessions and users. */
export function access({ channel, access: rpc }: AccessOptions) {
  const users = channel.client(UserServiceService);

  const login = async ({ input }: Credentials, context: GraphqlContext): Promise<Tokens> => {
    const request = { ...input, client: clientOf(context) };
    return (await rpc.login(request, context.anyone)).tokens as Tokens;
  };

  const refresh = async (
    refreshToken: string | undefined,
    { anyone }: GraphqlContext,
  ): Promise<Tokens> => {
    if (!refreshToken) {
      throw unauthenticated("SIGN_IN_REQUIRED", "There is no refresh token; sign in again.");
    }
    return (await rpc.refresh({ refreshToken }, anyone)).tokens as Tokens;
  };

  const resolvers = {
    Query: {
      me: async (_: unknown, __: unknown, context: GraphqlContext) => {
        const caller = await context.signedIn();
        const { id, email, role, createdAt } = (await users.getUser({}, caller)).user as User;
        return { id, email, role: Role[role], createdAt: (createdAt as Date).toISOString() };
      },
      sessions: async (_: unknown, __: unknown, context: GraphqlContext) =>
        (await rpc.listSessions({}, await context.signedIn())).sessions.map(shownSession),
    },
    Mutation: {
      login: async (_: unknown, credentials: Credentials, context: GraphqlContext) =>
        setCookies(context, await login(credentials, context)),
      signIn: async (_: unknown, credentials: Credentials, context: GraphqlContext) =>
        toGraphql(await login(credentials, context)),
      refresh: async (_: unknown, { token }: { token?: string | null }, context: GraphqlContext) =>
        setCookies(context, await refresh(token ?? context.refreshToken, context)),
      refreshTokens: async (_: unknown, { token }: { token: string }, context: GraphqlContext) =>
        toGraphql(await refresh(token, context)),
      logout: async (_: unknown, __: unknown, context: GraphqlContext) => {
        const { anyone, accessToken = "", refreshToken = "" } = context;
        await rpc.logout({ accessToken, refreshToken }, anyone);
        clearCookies(context);
        return "Signed out.";
      },
      registerUser: async (_: unknown, { input }: Credentials, context: GraphqlContext) => {
        context.countRegistration();
        await users.registerUser(input, context.anyone);
        return "Registered.";
      },
      changePassword: async (_: unknown, { input }: PasswordChange, context: GraphqlContext) => {
        const request = { ...input, address: clientOf(context).address };
        await users.changePassword(request, await context.signedIn());
        clearCookies(context);
        return "Password changed; sign in again.";
      },
      revokeSession: async (_: unknown, { id }: { id: string }, context: GraphqlContext) => {
        await rpc.revokeSession({ sessionId: id }, await context.signedIn());
        return "Session ended.";
      },
      deleteMe: async (_: unknown, __: unknown, context: GraphqlContext) => {
        const caller = await context.signedIn();
        await users.deleteUser({}, caller);
        clearCookies(context);
        return "Deleted.";
      },
    },
  };
  return { resolvers };
}

function setCookies(context: GraphqlContext, tokens: Tokens): string {
  const { accessToken, accessExpiresAt, refreshToken, refreshExpiresAt } = tokens;
  const { access, refresh } = context.cookieNames;
  context.setCookie(access, accessToken, accessExpiresAt as Date);
  context.setCookie(refresh, refreshToken, refreshExpiresAt as Date);
  return accessToken;
}

function clearCookies(context: GraphqlContext): void {
  const { access, refresh } = context.cookieNames;
  context.clearCookie(access);
  context.clearCookie(refresh);
}

const clientOf = ({ address, userAgent }: GraphqlContext): Client => ({ address, userAgent });

const shownSession = ({ id, createdAt, lastUsedAt, expiresAt, client, current }: Session) => ({
  id,
  createdAt: (createdAt as Date).toISOString(),
  lastUsedAt: (lastUsedAt as Date).toISOString(),
  expiresAt: (expiresAt as Date).toISOString(),
  address: client?.address || null,
  userAgent: client?.userAgent || null,
  current,
});

const toGraphql = ({ accessToken, accessExpiresAt, refreshToken, refreshExpiresAt }: Tokens) => ({
  accessToken,
  accessExpiresAt: (accessExpiresAt as Date).toISOString(),
  refreshToken,
  refreshExpiresAt: (refreshExpiresAt as Date).toISOString(),
});
