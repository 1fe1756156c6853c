"""An AWS endpoint on 127.0.0.1 for the tests: moto's RDS and STS, with what moto lacks of AWS' behaviour, and faults.

usage: server.py PORT

    server   HTTP: one lock around moto, faults, the Date header, a record of every call
    states   RDS' resources, which take time to come and go        agenda   what happens to them when
    answers  pages of lists                                        faults   what can go wrong with a call
    static   what a test has said beforehand of other services        cbor      CloudWatch, in the protocol of today's SDKs
    control  the control API, by which a test sets all of it

Nothing is kept: a restart is an empty account. Signatures are not checked; the region is the one that a call is signed for.
A service that is to behave other than moto's gets a module beside `states`, and `install`s itself.
"""

import io
import json
import os
import socket
import sys
import threading
import time
import traceback
from email.utils import formatdate
from urllib.parse import parse_qs, unquote_plus

# Before moto reads them. Every instance has an automated snapshot, which count against the limit; nobody starts a machine here.
os.environ["MOTO_RDS_SNAPSHOT_LIMIT"] = "1000000"
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

import answers  # noqa: E402
import cbor  # noqa: E402
import faults  # noqa: E402
import states  # noqa: E402
from agenda import AGENDA  # noqa: E402
from control import Control  # noqa: E402


class Call:
    """One call of a service."""

    def __init__(self, env, body):
        self.body = body
        # What a fault is matched against: a client may escape whatever it likes.
        self.text = unquote_plus(body.decode("utf-8", "replace"))
        self.parameters = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        # The Query protocol says it in the body, the JSON protocols in a header.
        self.target = env.get("HTTP_X_AMZ_TARGET", "")
        self.op = self.parameters.get("Action") or self.target.rsplit(".", 1)[-1]
        if self.target:
            self.text = body.decode("utf-8", "replace")
            self.parameters = json.loads(body or b"{}")
        self.cbor = cbor.operation(env) is not None
        if self.cbor:
            self.op, self.target = cbor.operation(env), ""
            self.parameters, self.size = cbor.decode(body)
            self.text = json.dumps(self.parameters)
        # AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
        scope = env.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].split(",")[0].split("/")
        self.region, self.service = (scope[2], scope[3]) if len(scope) == 5 else ("", "")
        self.user_agent = env.get("HTTP_USER_AGENT", "")

    def content_type(self):
        """What its service answers in."""
        if self.cbor:
            return cbor.CONTENT_TYPE
        return "application/x-amz-json-1.1" if self.target else "text/xml"

    def record(self, status, fault, at):
        """What GET /control/calls shows of it."""
        secret = {name for name in self.parameters if "Password" in name}
        return {
            "op": self.op,
            "service": self.service,
            "region": self.region,
            "parameters": {name: value for name, value in self.parameters.items() if name not in secret | {"Action", "Version"}},
            # None: nothing was answered.
            "status": status,
            "fault": next((name for name in faults.EFFECTS if name in fault), None),
            "at": at,
            "userAgent": self.user_agent,
        }


class Server:
    """The WSGI application."""

    def __init__(self):
        self.moto = DomainDispatcherApplication(create_backend_app)
        # moto is not safe for threads: two calls at once can fail, or do half of their work.
        self.lock = threading.RLock()
        self.control = Control()
        self.control.reset()

    def __call__(self, env, start):
        body = env["wsgi.input"].read(int(env.get("CONTENT_LENGTH") or 0))
        path = env["PATH_INFO"]
        if path.startswith("/control/"):
            with self.lock:
                status, body = self.control.answer(env["REQUEST_METHOD"], path, env.get("QUERY_STRING", ""), body)
            return self._send(start, f"{status} Control", {"Content-Type": "application/json"}, body)
        call, at = Call(env, body), time.time()
        with self.lock:
            fault = self.control.faults.take(call)
        # Outside of the lock: a call that is late makes no other late.
        answer = faults.before(fault, call)
        if answer:
            status, headers, body = f"{answer[0]} Fault", {"Content-Type": call.content_type(), **faults.headers(call)}, answer[1]
        elif fault.get("reset"):
            self._hang_up(env, call, fault, at)
        else:
            with self.lock:
                AGENDA.advance()
                status, headers, body = self._ask_moto(env, call)
            if fault.get("lostAnswer"):
                self._hang_up(env, call, fault, at)
            body = faults.after(fault, call, body)
        self._note(call, int(status.split()[0]), fault, at)
        return self._send(start, status, headers, body)

    def _ask_moto(self, env, call):
        got = []
        said = self.control.static.answer(call)
        if said is not None:
            return "200 OK", {"Content-Type": call.content_type()}, said

        def start(status, headers, _=None):
            got[:] = [status, {name: value for name, value in headers if name.lower() not in ("content-length", "date")}]

        asked = {**env, "wsgi.input": io.BytesIO(call.body)}
        if call.cbor:
            if call.op == "PutMetricData":
                try:
                    self.control.figures.put(call.region, call.parameters, call.size)
                except cbor.Refused as refused:
                    headers, body = cbor.error(400, refused.code, str(refused))
                    return "400 Refused", {"Content-Type": call.content_type(), **headers}, body
            asked = cbor.for_moto(env, call.parameters, call.op)
        try:
            body = b"".join(self.moto(asked, start))
        except Exception:  # Whatever it is, the caller gets an answer, and the log says what it was.
            traceback.print_exc()
            got, body = ["500"], b""
        if got[0].startswith("500"):
            # moto's own is a page of HTML, which clients take for an outage and ask again.
            body = faults.error(call, 501, "NotImplemented", f"the test platform's AWS cannot {call.op or 'do this'}: see its log")
            return "501 Not Implemented", {"Content-Type": call.content_type(), **faults.headers(call)}, body
        if call.cbor:
            status, headers, body = cbor.from_moto(int(got[0].split()[0]), body, call.op)
            return f"{status} CloudWatch", {"Content-Type": call.content_type(), **headers}, body
        return *got, body

    def _send(self, start, status, headers, body):
        now = time.time() + self.control.skew
        # It is falsified here and nowhere else: what AWS does follows the wall clock.
        start(status, [*headers.items(), ("Content-Length", str(len(body))), ("Date", formatdate(now, usegmt=True))])
        return [body]

    def _hang_up(self, env, call, fault, at):
        self._note(call, None, fault, at)
        env["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        # werkzeug takes it for what it looks like: a client that has gone.
        raise ConnectionAbortedError

    def _note(self, call, status, fault, at):
        record = call.record(status, fault, at)
        with self.lock:
            self.control.calls.append(record)
        print(f"{at:.3f} {call.service} {call.op} {call.region} {status} {record['fault'] or ''}".rstrip(), file=sys.stderr, flush=True)


class Handler(MotoRequestHandler):
    """One connection; the calls are noted by the server."""

    def send_response(self, code, message=None):
        # Without a Date of its own beside the server's.
        self.send_response_only(code, message)


def main():
    states.install()
    answers.install()
    make_server("127.0.0.1", int(sys.argv[1]), Server(), threaded=True, request_handler=Handler).serve_forever()


if __name__ == "__main__":
    main()
