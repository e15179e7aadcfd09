"""Both sides of the image step as one small program: `blog_double.py PORT NAME SEAMS_FILE FAULT`.

FAULT: `none`, `uploads` (every POST fails), or `pixels` (GET of an image shows another picture).
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

from PIL import Image

PORT, NAME, SEAMS, FAULT = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
IMAGES = 6


def picture(level):
    out = BytesIO()
    Image.new("RGB", (8, 8), (level, 0, 0)).save(out, "JPEG")
    return out.getvalue()


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/health":
            seams = json.loads(SEAMS.read_text()) if SEAMS.exists() else {}
            self.say({"service": NAME, "seams": {"image": "local", **seams}})
        elif path == "/posts":
            urls = [f"/images/{n}.jpg" for n in range(IMAGES)] if "page=1&" in self.path else []
            self.say({"posts": [{"image_url": url} for url in urls]})
        elif path.removeprefix("/images/").removesuffix(".jpg").isdigit():
            self.send(200, "image/jpeg", picture(200 if FAULT == "pixels" else 20))
        else:
            self.say({"error": {"code": "not_found"}}, 404)

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.say({}, 500 if FAULT == "uploads" else 201)

    def say(self, document, status=200):
        self.send(status, "application/json", json.dumps(document).encode())

    def send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Answers).serve_forever()
