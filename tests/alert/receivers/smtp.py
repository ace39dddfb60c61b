#!/usr/bin/python3
"""A mail server that writes down what it accepts, one JSON object a line.

Prints its port once it listens. Answers to recipients or messages are given in order; the last one goes
on for ever.
"""

import argparse
import asyncio
import json
import ssl

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("record")
parser.add_argument("--tls", choices=["starttls", "smtps"])
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--login", help="USER:PASSWORD")
parser.add_argument("--recipients", default="250", help="answers to RCPT, by commas")
parser.add_argument("--messages", default="250", help="answers to DATA, by commas")
parser.add_argument("--drip", type=float, help="seconds between the bytes of a greeting that never ends")
args = parser.parse_args()


def answers(text):
    codes = text.split(",")
    while True:
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        yield "250 OK" if code == "250" else f"{code} not this time"


recipients = answers(args.recipients)
messages = answers(args.messages)


def record(entry):
    with open(args.record, "a", encoding="utf-8") as file:
        print(json.dumps(entry), file=file)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = next(recipients)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        answer = next(messages)
        if answer.startswith("250"):
            record({
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "mail": envelope.content.decode("utf-8"),
                "tls": args.tls == "smtps" or session.ssl is not None,
                "login": session.authenticated,
            })
        return answer


def authenticate(server, session, envelope, mechanism, data):
    given = f"{data.login.decode()}:{data.password.decode()}"
    if given == args.login:
        return AuthResult(success=True)
    record({"refused": data.login.decode()})
    # Unless told so, the server would leave the client without an answer.
    return AuthResult(success=False, handled=False)


async def drip(reader, writer):
    while True:
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(args.drip)


async def main():
    context = None
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.certificate, args.key)
    starttls = context if args.tls == "starttls" else None

    def protocol():
        return SMTP(
            Handler(),
            hostname="localhost",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=args.login is not None,
            auth_require_tls=starttls is not None,
            authenticator=authenticate if args.login else None,
        )

    if args.drip:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
    else:
        server = await asyncio.get_running_loop().create_server(
            protocol, "127.0.0.1", 0, ssl=context if args.tls == "smtps" else None
        )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
