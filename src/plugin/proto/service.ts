import {
  create,
  type DescMessage,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "../../rpc/grpc/methods.ts";
import type { Services } from "../../rpc/grpc/server.ts";

/** A method of a generated service. */
interface MethodShape {
  methodKind: keyof typeof MAKERS;
  input: DescMessage;
  output: DescMessage;
}

type Incoming<M extends MethodShape> = MessageShape<M["input"]>;
/** A response may be a plain object with some of the message's fields. */
type Outgoing<M extends MethodShape> = MessageInitShape<M["output"]>;

/** What answers a method: one function for each of the four kinds. */
interface HandlerKinds<M extends MethodShape> {
  unary: Parameters<typeof grpc.unary<Incoming<M>, Outgoing<M>>>[1];
  server_streaming: Parameters<typeof grpc.serverStreaming<Incoming<M>, Outgoing<M>>>[1];
  client_streaming: Parameters<typeof grpc.clientStreaming<Incoming<M>, Outgoing<M>>>[1];
  bidi_streaming: Parameters<typeof grpc.bidiStreaming<Incoming<M>, Outgoing<M>>>[1];
}

const MAKERS = {
  unary: grpc.unary,
  server_streaming: grpc.serverStreaming,
  client_streaming: grpc.clientStreaming,
  bidi_streaming: grpc.bidiStreaming,
};

/** A handler for each method of a generated service, by the method's name in lower camel case. */
export type Handlers<Service extends DescService> = {
  [Name in keyof Service["method"]]: Service["method"][Name] extends MethodShape
    ? HandlerKinds<Service["method"][Name]>[Service["method"][Name]["methodKind"]]
    : never;
};

/** The service as a gRPC server takes it. */
export function serviceOf<Service extends DescService>(
  service: Service,
  handlers: Handlers<Service>,
): Services {
  const methods = service.methods.map((method) => {
    // The descriptor's kind chose both the handler's type and this function.
    const make = MAKERS[method.methodKind] as (messages: unknown, handler: unknown) => grpc.Method;
    const handler = handlers[method.localName as keyof Handlers<Service>];
    return [method.name, make(messagesOf(method.input, method.output), handler)];
  });
  return { [service.typeName]: Object.fromEntries(methods) };
}

function messagesOf<In extends DescMessage, Out extends DescMessage>(
  input: In,
  output: Out,
): grpc.Messages<MessageShape<In>, MessageInitShape<Out>> {
  return {
    request: { decode: (bytes) => fromBinary(input, bytes) },
    response: { encode: (message) => toBinary(output, create(output, message)) },
  };
}
