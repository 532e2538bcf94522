"""The address that a platform brings signatures to."""

from __future__ import annotations

import click

from deliverybot import errors
from deliverybot.cli import out


@click.command()
@click.argument("campaign")
@click.option("--renew", is_flag=True, help="Make another address; the old one ends at once.")
@out.as_json
@out.pass_call
def webhook(call: out.Call, campaign: str, renew: bool, as_json: bool) -> None:
    """Show the address that a platform brings a campaign's signatures to.

    Whoever knows the address can bring signatures, so show it to the platform
    alone.  --renew makes another one when it has become known.
    """
    from deliverybot import arrivals

    settings = call.settings()
    one = out.one_of(campaign, call.campaigns(settings))
    if one.source.kind != "webhook":
        message = f"the signatures of {campaign} are not brought: its source is {one.source.kind}"
        raise errors.UsageError(message, hint='kind = "webhook" under [source] in its file')
    if not settings.public_url:
        message = "config.toml does not say at which address this machine is reached"
        raise errors.UsageError(message, hint='public_url = "https://campaigns.example.org"')
    store = arrivals.Arrivals(call.book(settings), settings.state, out.now)
    if renew:
        store.renew(campaign)
        out.talk("the old address answers nobody any more; tell the platform the new one")
    address = store.address(settings.public_url, campaign)
    waiting = store.count(campaign)
    if as_json:
        out.dump({"campaign": campaign, "address": address, "waiting": waiting})
        return
    click.echo(address)
    if waiting:
        out.talk(f"{out.plural(waiting, 'call')} waiting for the next reading")
