/** The RPCs of access and user: who may call, what is well-formed, and the way to who knows. */
import { Controller, Inject } from "@nestjs/common";
import type * as access from "@piata/contracts/access";
import type { ItemContext } from "@piata/contracts/item";
import type * as user from "@piata/contracts/user";
import { answerEach } from "@piata/kit/batch";
import { signedIn } from "@piata/kit/context";
import { invalidArgument } from "@piata/kit/errors";
import { forUsers, onlyFrom, Rpc } from "@piata/kit/permission";
import type { Handlers } from "@piata/kit/rpc-server";
import { Observable } from "rxjs";
import { Passwords } from "./passwords.js";
import { Revocations } from "./revocations.js";
import { type Bearer, Sessions } from "./sessions.js";
import { AccessStore } from "./store.js";
import { findRoleName } from "./tokens.js";
import { Upkeep } from "./upkeep.js";
import { checkedEmail, checkedPassword, findEmail, userNotFound } from "./user.js";

@Controller()
export class AccessHandlers implements Handlers<access.AccessServiceService> {
  readonly #sessions: Sessions;
  readonly #revocations: Revocations;

  constructor(@Inject(Sessions) sessions: Sessions, @Inject(Revocations) revocations: Revocations) {
    this.#sessions = sessions;
    this.#revocations = revocations;
  }

  @Rpc("AccessService", forUsers)
  async login(request: access.LoginRequest): Promise<access.LoginResponse> {
    return { tokens: await this.#sessions.login(request) };
  }

  @Rpc("AccessService", forUsers)
  async refresh({ refreshToken }: access.RefreshRequest): Promise<access.RefreshResponse> {
    return { tokens: await this.#sessions.refresh(refreshToken) };
  }

  @Rpc("AccessService", forUsers)
  async logout({
    accessToken,
    refreshToken,
  }: access.LogoutRequest): Promise<access.LogoutResponse> {
    await this.#sessions.logout(accessToken, refreshToken);
    return {};
  }

  @Rpc("AccessService", forUsers)
  async listSessions({
    context,
  }: access.ListSessionsRequest): Promise<access.ListSessionsResponse> {
    return { sessions: await this.#sessions.list(bearer(context)) };
  }

  @Rpc("AccessService", forUsers)
  async revokeSession({
    context,
    sessionId,
  }: access.RevokeSessionRequest): Promise<access.RevokeSessionResponse> {
    await this.#sessions.revoke(signedIn(context), sessionId);
    return {};
  }

  @Rpc("AccessService", onlyFrom("gateway"))
  async batchAuthenticate({
    items,
  }: access.BatchAuthenticateRequest): Promise<access.BatchAuthenticateResponse> {
    const results = await answerEach(
      items,
      ({ accessToken }) => accessToken,
      (accessTokens) => this.#sessions.authenticate(accessTokens),
    );
    return { results };
  }

  @Rpc("AccessService", onlyFrom("gateway"))
  watchRevocations(): Observable<access.WatchRevocationsResponse> {
    return new Observable((subscriber) =>
      this.#revocations.watch({
        next: (sessionIds) => subscriber.next({ sessionIds }),
        complete: () => subscriber.complete(),
      }),
    );
  }
}

@Controller()
export class UserHandlers implements Handlers<user.UserServiceService> {
  readonly #store: AccessStore;
  readonly #passwords: Passwords;
  readonly #sessions: Sessions;
  readonly #revocations: Revocations;
  readonly #upkeep: Upkeep;

  constructor(
    @Inject(AccessStore) store: AccessStore,
    @Inject(Passwords) passwords: Passwords,
    @Inject(Sessions) sessions: Sessions,
    @Inject(Revocations) revocations: Revocations,
    @Inject(Upkeep) upkeep: Upkeep,
  ) {
    this.#store = store;
    this.#passwords = passwords;
    this.#sessions = sessions;
    this.#revocations = revocations;
    this.#upkeep = upkeep;
  }

  @Rpc("UserService", forUsers)
  async registerUser(request: user.RegisterUserRequest): Promise<user.RegisterUserResponse> {
    const email = checkedEmail(request.email);
    const password = checkedPassword(request.password, email);
    const passwordHash = await this.#passwords.hash(password);
    return { user: await this.#store.createUser(email, passwordHash) };
  }

  @Rpc("UserService", forUsers)
  async getUser({ context }: user.GetUserRequest): Promise<user.GetUserResponse> {
    const found = await this.#store.findUser(signedIn(context));
    if (!found) throw userNotFound();
    return { user: found };
  }

  @Rpc("UserService", forUsers)
  async deleteUser({ context }: user.DeleteUserRequest): Promise<user.DeleteUserResponse> {
    const userId = signedIn(context);
    if (await this.#store.deleteUser(userId)) {
      this.#revocations.pollSoon();
      this.#upkeep.eraseNow(userId);
    }
    return {};
  }

  @Rpc("UserService", forUsers)
  async changePassword({
    context,
    ...change
  }: user.ChangePasswordRequest): Promise<user.ChangePasswordResponse> {
    await this.#sessions.changePassword(bearer(context), change);
    return {};
  }

  @Rpc("UserService", onlyFrom("operator"))
  async setUserRole(request: user.SetUserRoleRequest): Promise<user.SetUserRoleResponse> {
    const role = findRoleName(request.role);
    if (!role) {
      throw invalidArgument("ROLE_INVALID", "role must be CUSTOMER or STAFF.", { field: "role" });
    }
    const email = findEmail(request.email);
    if (email === undefined || !(await this.#store.setRole(email, role))) throw userNotFound();
    return {};
  }
}

/** The signed-in user and their session. Throws UNAUTHENTICATED / SIGN_IN_REQUIRED. */
const bearer = (context: ItemContext | undefined): Bearer => ({
  userId: signedIn(context),
  sessionId: context?.sessionId ?? "",
});
