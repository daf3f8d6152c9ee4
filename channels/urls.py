from django.urls import URLPattern
from django.utils.translation import gettext_lazy as _

from channels.api import channels, problems, qr, runs
from channels.pages import channels as channel_pages
from channels.pages import connect, links, mapping, practice, practice_home, setting_up, setup, sms, transfer
from channels.pages import problems as problem_pages
from channels.pages import qr as qr_pages
from channels.pages import runs as run_pages
from channels.sms import api as sms_api
from tenants.pages.home import Part, register_needs, register_part
from tenants.pages.shell import Place, register
from tenants.permissions import Permission

api_urlpatterns: list[URLPattern] = [
    *channels.urlpatterns,
    *runs.urlpatterns,
    *problems.urlpatterns,
    *qr.urlpatterns,
    *sms_api.api_urlpatterns,
]

# Pages of a business's own host.
business_urlpatterns = [
    *practice_home.urlpatterns,
    *practice.urlpatterns,
    *setup.urlpatterns,
    *connect.urlpatterns,
    *setting_up.urlpatterns,
    *links.urlpatterns,
    *transfer.urlpatterns,
    *channel_pages.urlpatterns,
    *run_pages.urlpatterns,
    *mapping.urlpatterns,
    *qr_pages.urlpatterns,
    *problem_pages.urlpatterns,
    *sms.urlpatterns,
]

register(
    Place("sms", _("SMS"), "messages", Permission.LOYALTY_READ, order=120),
    Place("problems", _("Problems"), "warning", Permission.CHANNELS_READ, order=130),
    Place("channels", _("Channels"), "channels", Permission.CHANNELS_READ, order=140),
    Place("setup", _("Setup guide"), "done", Permission.CHANNELS_CHANGE, order=150),
)
register_part(Part("problems", 10, Permission.CHANNELS_READ, practice_home.show_problems))
register_part(Part("practice", 30, Permission.PAYMENTS_REQUEST, practice_home.show_practice, is_beside=True))
register_needs("connections", practice_home.connection_needs)
