import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import {
  buildClientSchema,
  buildSchema,
  type GraphQLArgument,
  type GraphQLInputField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getIntrospectionQuery,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  isSpecifiedScalarType,
} from "graphql";
import { ask, startGateway, urlOf } from "./fixture.js";

const CONTRACT = new URL("../contract.graphql", import.meta.url);
const SCHEMA = new URL("../schema.graphql", import.meta.url);
/** What clients were given; there only where the project was begun. */
const GIVEN = new URL("../../../../shared/contract.graphql", import.meta.url);

const read = (file: URL) => readFile(file, "utf8");

/** Each way in which a schema does not hold what another one promised. */
function breaches(promised: GraphQLSchema, served: GraphQLSchema): string[] {
  return Object.values(promised.getTypeMap())
    .filter((type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type))
    .flatMap((type) => typeBreaches(type, served.getType(type.name)))
    .concat(
      promised.getQueryType()?.name === served.getQueryType()?.name ? [] : ["query"],
      promised.getMutationType()?.name === served.getMutationType()?.name ? [] : ["mutation"],
    );
}

function typeBreaches(type: GraphQLNamedType, served: GraphQLNamedType | undefined): string[] {
  const { name } = type;
  if (isObjectType(type) && isObjectType(served)) {
    const fields = served.getFields();
    return Object.values(type.getFields()).flatMap((field) => {
      const path = `${name}.${field.name}`;
      const other = fields[field.name];
      if (String(other?.type) !== String(field.type)) return [path];
      return inputBreaches(path, field.args, other?.args ?? [], isRequiredArgument);
    });
  }
  if (isInputObjectType(type) && isInputObjectType(served)) {
    const fields = [type, served].map((input) => Object.values(input.getFields()));
    return inputBreaches(name, fields[0] ?? [], fields[1] ?? [], isRequiredInputField);
  }
  if (isEnumType(type) && isEnumType(served)) {
    const missing = type.getValues().filter((value) => !served.getValue(value.name));
    return missing.map((value) => `${name}.${value.name}`);
  }
  return [name];
}

function inputBreaches<Input extends GraphQLArgument | GraphQLInputField>(
  path: string,
  promised: readonly Input[],
  served: readonly Input[],
  isRequired: (input: Input) => boolean,
): string[] {
  const changed = promised.filter((input) => {
    const other = served.find(({ name }) => name === input.name);
    return String(other?.type) !== String(input.type) || other?.defaultValue !== input.defaultValue;
  });
  const demanded = served.filter(
    (input) => isRequired(input) && !promised.some(({ name }) => name === input.name),
  );
  return [...changed, ...demanded].map(({ name }) => `${path}(${name})`);
}

describe("the contract", () => {
  it("is held by the schema of the gateway's source", async () => {
    const [promised, served] = [await read(CONTRACT), await read(SCHEMA)].map((text) =>
      buildSchema(text),
    ) as [GraphQLSchema, GraphQLSchema];
    assert.deepEqual(breaches(promised, served), []);
  });

  it("is held by the schema that a running gateway serves", async (t) => {
    const gateway = await startGateway({ GATEWAY_INTROSPECTION: "on" });
    t.after(() => gateway.stop());
    const introspection = getIntrospectionQuery({ inputValueDeprecation: true });
    const { data, errors } = await ask(urlOf(gateway), introspection);
    assert.deepEqual(errors, []);
    const served = buildClientSchema(data);
    assert.deepEqual(breaches(buildSchema(await read(CONTRACT)), served), []);
    assert.deepEqual(breaches(buildSchema(await read(SCHEMA)), served), []);
  });

  it("is the one that clients were given", async (t) => {
    if (!existsSync(GIVEN)) return t.skip("it is not beside this checkout");
    const [ours, given] = [await read(CONTRACT), await read(GIVEN)].map((text) =>
      buildSchema(text),
    ) as [GraphQLSchema, GraphQLSchema];
    assert.deepEqual(breaches(given, ours), []);
    assert.deepEqual(breaches(ours, given), []);
  });

  const MUTANTS: Record<string, [from: string, to: string]> = {
    "a field is dropped": ["  unitsAvailable: Int!\n  imageUrl: String!", "  imageUrl: String!"],
    "a field is renamed": ["  imageUrl: String!\n  price: Int!", "  image: String!\n  price: Int!"],
    "a field may be null": ["value: OrderStatus!", "value: OrderStatus"],
    "a field may not be null any more": ["cart: CartGraphqlType", "cart: CartGraphqlType!"],
    "an item may be null": ["items: [CartItemGraphqlType!]!", "items: [CartItemGraphqlType]!"],
    "a field's type changes": ["price: Float!\n  unitsAvailable", "price: Int!\n  unitsAvailable"],
    "a field becomes a list": ["hello: String!", "hello: [String!]!"],
    "an argument is dropped": ["product(id: Float!)", "product"],
    "an argument is renamed": ["product(id: Float!)", "product(productId: Float!)"],
    "an argument's type changes": ["product(id: Float!)", "product(id: Int!)"],
    "an argument need not be given": ["product(id: Float!)", "product(id: Float)"],
    "an argument gets a default": ["product(id: Float!)", "product(id: Float! = 1)"],
    "an argument is demanded": ["initOrder:", "initOrder(method: String!):"],
    "an enum value is dropped": ["  UNRECOGNIZED\n", ""],
    "an input field is dropped": ["  newQuantity: Int!\n", ""],
    "an input field's type changes": ["newQuantity: Int!", "newQuantity: Float!"],
    "an input field is demanded": ["newQuantity: Int!", "newQuantity: Int!\n  note: String!"],
    "an optional input field is demanded": ["  imageUrl: String\n", "  imageUrl: String!\n"],
    "a query is dropped": ["  hello: String!\n", ""],
    "a mutation is dropped": ["  logout: String!\n", ""],
    "a type is of another kind": ["type OrderCreatedType {", "interface OrderCreatedType {"],
    "a type is dropped": ["input UpdateItemInput {", "input UpdateLineInput {"],
  };
  for (const [name, [from, to]] of Object.entries(MUTANTS)) {
    it(`is broken when ${name}`, async () => {
      const contract = await read(CONTRACT);
      assert.equal(contract.split(from).length, 2, `${from} is not there once`);
      const mutant = contract
        .replace(from, to)
        .replace("input: UpdateItemInput!", (text) =>
          to.includes("UpdateLineInput") ? "input: UpdateLineInput!" : text,
        );
      assert.notDeepEqual(breaches(buildSchema(contract), buildSchema(mutant)), []);
    });
  }

  it("is held by a schema that only adds to it and deprecates in it", async () => {
    const contract = await read(CONTRACT);
    const grown = contract
      .replace("hello: String!", "hello(name: String, times: Int! = 1): String!\n  more: Int")
      .replace("newQuantity: Int!", "newQuantity: Int!\n  note: String\n  times: Int! = 1")
      .replace("  UNRECOGNIZED", "  UNRECOGNIZED\n  SHIPPED")
      .replace("name: String!", 'name: String! @deprecated(reason: "Use title.")');
    assert.deepEqual(breaches(buildSchema(contract), buildSchema(grown)), []);
  });
});
