/** Pages of GraphQL lists, as the services page them. */
import { invalidArgument } from "@piata/kit/errors";

/** How the services name what a client pages with. */
export const PAGE_FIELDS = { page_size: "first", page_token: "after" };

export interface PageArguments {
  first: number | null;
  after: string | null;
}

/** Throws INVALID_ARGUMENT / PAGE_INVALID; the service checks the cursor. */
export function pageRequest({ first, after }: PageArguments) {
  const pageSize = first ?? 20;
  if (pageSize < 1 || pageSize > 100) {
    throw invalidArgument("PAGE_INVALID", "first must be from 1 to 100.", { field: "first" });
  }
  return { pageSize, pageToken: after ?? "" };
}
