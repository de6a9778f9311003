"""Takes one POST, writes its body, and refuses it: what a client of WHIP really offers.

    python tests/tools/record_offer.py <port> <file>
"""
import http.server
import sys


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with open(sys.argv[2], "wb") as file:
            file.write(self.rfile.read(int(self.headers["Content-Length"])))
        print(self.headers, file=sys.stderr)
        self.send_error(503)


http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Recorder).handle_request()
