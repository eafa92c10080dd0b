/** What answers the fields of the schema. */
import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from "graphql";

// biome-ignore lint/suspicious/noExplicitAny: of any parent, with the arguments that its field has.
type Resolver = GraphQLFieldResolver<any, any, any>;

/** By type and field; a field without one is the parent's property of its name. */
export type Resolvers = Readonly<Record<string, Readonly<Record<string, Resolver>>>>;

/** Gives fields of the schema their resolvers. Throws when it has no such field. */
export function attach(schema: GraphQLSchema, resolvers: Resolvers): void {
  for (const [typeName, resolverByField] of Object.entries(resolvers)) {
    const type = schema.getType(typeName);
    const fields = isObjectType(type) ? type.getFields() : {};
    for (const [fieldName, resolve] of Object.entries(resolverByField)) {
      const field = fields[fieldName];
      if (!field) throw new Error(`The schema has no ${typeName}.${fieldName}.`);
      field.resolve = resolve;
    }
  }
}
