"""A tenant's administrator stops somebody in the middle of a call, lets them in again, and is
stopped in turn.

Says when something may be looked at outside of the browser, and waits until it was: `call seen`,
`suspended`, `let in`, `looking on`.
"""

from browser import PATIENCE_MS, Person, Window, check, chromium, say, told, unless, wait_for_word

REASON = "Terminal reported stolen"


def call_row(window, login):
    return window.page.locator("#calls tbody tr", has_text=login)


def suspend(window, login):
    """From the page of all accounts to the one, with a reason, as an administrator would."""
    page = window.page
    page.click("nav.ways a[href='/accounts']")
    page.fill("#q", login)
    page.click("form[role=search] button")
    page.click(f"tbody a[href*='{login}']")
    page.fill("#reason", REASON)
    window.will_be_sure("form:has(#suspend)")
    page.click("#suspend")
    return page.locator("#standing .tag.bad").count() == 1


def main():
    it = told()
    caller, callee = it["caller"], it["callee"]
    administrator = Person(it["people"]["administrator"])
    with chromium() as browser:
        looking = Window(browser, it["console"])
        looking.sign_in(administrator)
        row = call_row(looking, caller)
        row.locator(".tag.active").wait_for(timeout=PATIENCE_MS)
        check("the call is seen", unless(callee in row.inner_text(), row.inner_text()))
        say("call seen")
        wait_for_word()

        # The same sign-in in a second window of the browser: the first is only looked at.
        acting = Window(browser, it["console"], storage_state=looking.context.storage_state())
        acting.go("/now")
        check("the account is suspended", unless(suspend(acting, caller), acting.alert()))
        row.wait_for(state="detached", timeout=PATIENCE_MS)
        calls = looking.page.inner_text("#tiles .figure >> nth=0")
        check("the call is gone from the open page", unless(calls == "0", calls))
        say("suspended")
        wait_for_word()

        acting.page.click("#reactivate")
        good = acting.page.locator("#standing .tag.good").count()
        check("the account is let in again", unless(good, acting.alert()))
        say("let in")
        wait_for_word()

        say("looking on")
        wait_for_word()
        looking.page.wait_for_url("**/sign-in", timeout=PATIENCE_MS)
        # A load of any other page leads there too.
        acting.go("/accounts")
        ended = looking.path() == acting.path() == "/sign-in"
        check("a suspended administrator is sent to the sign-in", unless(ended, acting.path()))
        check("nothing was refused by the browser", [*looking.seen, *acting.seen])


if __name__ == "__main__":
    main()
