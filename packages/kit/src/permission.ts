/** Who may call an RPC, written where its handler is. */
import "reflect-metadata";
import type { Type } from "@nestjs/common";
import { GrpcMethod } from "@nestjs/microservices";

/** Who may call an RPC, and whom its items are believed to be for. */
export interface Permission {
  /** The programs that may; undefined for every one of the shop. */
  callers: readonly string[] | undefined;
  /** Whether the user of an item is whom its passport names, or whom the caller says. */
  trusts: "passport" | "caller";
}

/** For what users ask through these programs, in the name of whom their passport is for. */
export const forUsersOf = (...callers: string[]): Permission => ({ callers, trusts: "passport" });

/** For what users ask. */
export const forUsers = forUsersOf("gateway");

/** For what these programs do in their own right, for whichever user they name. */
export const onlyFrom = (...callers: string[]): Permission => ({ callers, trusts: "caller" });

/** For every program of the shop. */
export const fromEveryone: Permission = { callers: undefined, trusts: "caller" };

const KEY = Symbol("Permission");

/** Serves the method of the same name, to those who may call it. */
export const Rpc =
  (service: string, permission: Permission): MethodDecorator =>
  (target, key, descriptor) => {
    Reflect.defineMetadata(KEY, { service, permission }, descriptor.value as object);
    GrpcMethod(service)(target, key, descriptor as TypedPropertyDescriptor<unknown>);
  };

/** The permissions of handlers, by "service/method" as @Rpc and the proto name them. */
export function permissionsOf(controllers: readonly Type[]): Map<string, Permission> {
  const found = new Map<string, Permission>();
  for (const { prototype } of controllers) {
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const told = Reflect.getMetadata(KEY, prototype[name] as object) as
        | { service: string; permission: Permission }
        | undefined;
      const method = name.charAt(0).toUpperCase() + name.slice(1);
      if (told) found.set(`${told.service}/${method}`, told.permission);
    }
  }
  return found;
}
