"""Requests that none of the console's own pages made: from pages elsewhere in the browser of
somebody who has signed in, from clients that are no browser, and from frames."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlencode, urlsplit

from browser import COOKIE, Person, Window, check, chromium, raw, told, unless

FORM = """<!doctype html><title>elsewhere</title>
<form method="post" action="{console}/accounts/suspend">
<input name="csrf" value="{csrf}"><input name="tenant" value="{tenant}">
<input name="login" value="{login}"><button id="go">win a prize</button></form>"""

FRAME = """<!doctype html><title>elsewhere</title>
<iframe src="{console}/sign-in"></iframe><iframe src="{console}/now"></iframe>"""

# Said with every answer.
HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

POLICY = [
    "default-src 'none'",
    "script-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "require-trusted-types-for 'script'",
]


def elsewhere(page):
    """Serves a page from another origin until the program ends; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def is_active(window, login):
    window.go(f"/accounts/one?login={login}")
    return window.page.locator("#standing .tag.good").count() == 1


def submit(window, address):
    """Sends the form of a page elsewhere; the answer, and whether the sign-in went with it."""
    page = window.watch(window.context.new_page())
    page.goto(address)
    with page.expect_response("**/accounts/suspend") as answer:
        page.click("#go")
    with_cookie = COOKIE in answer.value.request.all_headers().get("cookie", "")
    page.close()
    return answer.value.status, with_cookie


def from_other_pages(it, window):
    window.go("/accounts")
    form = FORM.format(
        console=it["console"], csrf=window.csrf(), tenant=it["tenant"], login=it["caller"]
    )
    status, with_cookie = submit(window, elsewhere(form))
    refused = status == 403 and not with_cookie and is_active(window, it["caller"])
    check("form of another site is refused", unless(refused, f"{status}, {with_cookie}"))

    # A page of the same host at another port is of the same site: it has the sign-in, and here
    # even what each form carries. That it comes from elsewhere remains.
    host = urlsplit(it["console"]).hostname
    neighbour = f"https://{host}:49151/"
    window.context.route(
        f"{neighbour}**", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    status, with_cookie = submit(window, neighbour)
    refused = status == 403 and with_cookie and is_active(window, it["caller"])
    check("form of the same site is refused", unless(refused, f"{status}, {with_cookie}"))


def from_no_browser(it, window, other):
    """Each with all that a right request has, but for one thing."""
    window.go("/accounts")
    other.go("/accounts")
    host = urlsplit(it["console"]).netloc
    form = {"csrf": window.csrf(), "tenant": it["tenant"], "login": it["caller"]}
    right = {
        "Cookie": f"{COOKIE}={window.cookie()}",
        "Origin": it["console"],
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
    }

    def post(headers=None, fields=None, path="/accounts/suspend"):
        headers = {name: text for name, text in {**right, **(headers or {})}.items() if text}
        body = urlencode({**form, **(fields or {})})
        return raw(it, "POST", path, headers, body)[0]

    answers = {
        "no Origin": (post({"Origin": None}), 403),
        "foreign Origin": (post({"Origin": "https://evil.example"}), 403),
        "Origin null": (post({"Origin": "null"}), 403),
        "Origin without TLS": (post({"Origin": f"http://{host}"}), 403),
        "Origin as a prefix": (post({"Origin": f"https://{host}.evil.example"}), 403),
        "cross-site": (post({"Sec-Fetch-Site": "cross-site"}), 403),
        "same-site": (post({"Sec-Fetch-Site": "same-site"}), 403),
        "no token": (post(fields={"csrf": ""}), 403),
        "wrong token": (post(fields={"csrf": window.csrf()[::-1]}), 403),
        "token of another sign-in": (post(fields={"csrf": other.csrf()}), 403),
        "no cookie": (post({"Cookie": None}), 303),
        "plain text": (post({"Content-Type": "text/plain"}), 415),
        "JSON": (post({"Content-Type": "application/json"}), 415),
        "multipart": (post({"Content-Type": "multipart/form-data; boundary=x"}), 415),
        "too long": (post(fields={"reason": "x" * 300_000}), 413),
        "foreign sign-in": (post({"Origin": "https://evil.example"}, path="/sign-in"), 403),
        "foreign sign-out": (post({"Origin": "https://evil.example"}, path="/sign-out"), 403),
    }
    for name, (status, wished) in answers.items():
        check(f"refused: {name}", unless(status == wished, status))
    get = raw(it, "GET", f"/accounts/suspend?{urlencode(form)}", right)[0]
    check("refused: GET", unless(get == 405, get))
    check("nothing was done by any of them", unless(is_active(window, it["caller"]), "suspended"))
    status = post()
    check("the right request is taken", unless(status == 303, status))
    check("and does it", unless(not is_active(window, it["caller"]), "not suspended"))


def in_frames(it, window):
    page = window.context.new_page()
    page.goto(elsewhere(FRAME.format(console=it["console"])))
    page.wait_for_load_state("networkidle")
    shown = [frame.url for frame in page.frames[1:] if frame.locator("main").count()]
    check("no page is shown in a frame", unless(len(page.frames) == 3, "no frames") or shown)
    page.close()


def headers(it, window):
    """What every answer says, whatever it answers."""
    window.go("/now")
    cookie = {"Cookie": f"{COOKIE}={window.cookie()}"}
    assets = window.page.evaluate(
        "() => [...document.querySelectorAll('link,script')].map((it) => it.href || it.src)"
    )
    asked = [("GET", urlsplit(asset).path, {}) for asset in assets if asset]
    asked += [(method, path, with_cookie)
              for path in ["/", "/now", "/accounts", "/me", "/sign-in", "/live/now", "/nothing",
                           "/accounts/one?login=nobody", "/accounts/export", "/csp-report"]
              for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]
              for with_cookie in [{}, cookie]]
    lacking, statuses = [], set()
    for method, path, with_cookie in asked:
        status, said, _ = raw(it, method, path, with_cookie)
        statuses.add(status)
        wrong = [name for name, text in HEADERS.items() if said.get(name) != text]
        policy = said.get("content-security-policy", "")
        wrong += [part for part in POLICY if part not in policy]
        is_asset = path.startswith("/assets/")
        if is_asset != ("immutable" in said.get("cache-control", "")):
            wrong.append(f"cache-control: {said.get('cache-control')}")
        if said.get("access-control-allow-origin") or said.get("server"):
            wrong.append("says too much")
        if wrong:
            lacking.append(f"{method} {path} {status}: {wrong}")
    check("headers are said with every answer", lacking[:5])
    tried = {200, 303, 403, 404, 405} <= statuses
    check("answers of all kinds were asked for", unless(tried, sorted(statuses)))


def main():
    it = told()
    people = {name: Person(account) for name, account in it["people"].items()}
    with chromium() as browser:
        window = Window(browser, it["console"])
        window.expects_refusals = True
        window.sign_in(people["administrator"])
        other = Window(browser, it["console"])
        other.sign_in(people["operator"])
        from_other_pages(it, window)
        in_frames(it, window)
        headers(it, window)
        from_no_browser(it, window, other)


if __name__ == "__main__":
    main()
