"""`/api/v1/merchants/`, `/api/v1/auth/…`, `/api/v1/me/`, `/api/v1/team/…`."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import Http404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants import limits, people, provisioning, services, sign_in, tokens
from tenants.actors import client_address, visitor
from tenants.hosts import url_of_tenant
from tenants.models import Invitation, Membership, Role, Tenant
from tenants.permissions import Permission, permissions_of, require
from tenants.serializer_fields import LowerCaseChoiceField, PublicIdField, id_in_url, refusals


class _OpenDoor(APIView):
    """For people who are not signed in."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class _PlatformDoor(_OpenDoor):
    """On the platform host only."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if _host_tenant(request) is not None:
            raise Http404
        super().initial(request, *args, **kwargs)


def _host_tenant(request: Request) -> Tenant | None:
    tenant: Tenant | None = request._request.tenant  # type: ignore[attr-defined]
    return tenant


class MerchantInput(serializers.Serializer[Any]):
    business_name = serializers.CharField(max_length=120)
    business_type = LowerCaseChoiceField(Tenant.BusinessType)
    owner_name = serializers.CharField(max_length=120)
    email = serializers.EmailField(max_length=254)
    phone = serializers.CharField(max_length=30)
    password = serializers.CharField(max_length=128, write_only=True, trim_whitespace=False)
    slug = serializers.CharField(
        max_length=40, required=False, help_text="The first part of the web address; by default made of the name."
    )


class ProgressStep(serializers.Serializer[Any]):
    key = serializers.CharField()
    sentence = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "running", "done", "failed"])
    at = serializers.DateTimeField(allow_null=True)


class MerchantProgress(serializers.Serializer[Tenant]):
    id = PublicIdField("biz")
    slug = serializers.CharField()
    business_name = serializers.CharField()
    status = LowerCaseChoiceField(Tenant.Status)
    web_address = serializers.SerializerMethodField()
    steps = ProgressStep(source="provisioning_steps", many=True)

    @extend_schema_field(serializers.URLField())
    def get_web_address(self, tenant: Tenant) -> str:
        return url_of_tenant(tenant)


class MerchantOutput(MerchantProgress):
    progress_url = serializers.SerializerMethodField()

    @extend_schema_field(serializers.URLField())
    def get_progress_url(self, tenant: Tenant) -> str:
        path = reverse("merchant-progress", args=[provisioning.progress_token(tenant)])
        return f"{settings.TUZO_PUBLIC_URL}{path}"


class SignUp(_PlatformDoor):
    @extend_schema(
        tags=["sign-up"],
        request=MerchantInput,
        responses={202: MerchantOutput} | refusals(400, 404, 409, 429),
        summary="Sign a business up",
    )
    def post(self, request: Request) -> Response:
        """Takes a business in, with its owner. What it needs is made in the background: watch `progress_url`."""
        limits.count_attempt("sign_up", who=client_address(request._request))
        given = MerchantInput(data=request.data)
        given.is_valid(raise_exception=True)
        tenant = services.open_tenant(
            actor=visitor(request._request, email=given.validated_data["email"]), **given.validated_data
        )
        return Response(MerchantOutput(tenant).data, status=status.HTTP_202_ACCEPTED)


class SignUpProgress(_PlatformDoor):
    @extend_schema(
        tags=["sign-up"],
        responses={200: MerchantProgress} | refusals(404),
        summary="Watch a business being made",
    )
    def get(self, request: Request, token: str) -> Response:
        """`status` is `provisioning` until everything is made, then `trial`: the owner can sign in."""
        return Response(MerchantProgress(provisioning.progress_of(token)).data)


class BusinessOutput(serializers.Serializer[Tenant]):
    id = PublicIdField("biz")
    slug = serializers.CharField()
    business_name = serializers.CharField()
    status = LowerCaseChoiceField(Tenant.Status)
    status_reason = serializers.CharField()


class TokenInput(serializers.Serializer[Any]):
    email = serializers.CharField(max_length=254)
    password = serializers.CharField(max_length=128, write_only=True, trim_whitespace=False)
    second_factor = serializers.CharField(
        max_length=16,
        required=False,
        write_only=True,
        help_text="The code of the authenticator app or a recovery code, for people who have a second factor.",
    )
    business = serializers.CharField(
        max_length=40, required=False, help_text="The slug, for people who belong to several businesses."
    )


class TokenPair(serializers.Serializer[Any]):
    access = serializers.CharField()
    refresh = serializers.CharField()
    expires_in = serializers.SerializerMethodField(help_text="Seconds until the access token ends.")

    def get_expires_in(self, pair: dict[str, str]) -> int:
        return int(tokens.ACCESS_LASTS.total_seconds())


class RefreshInput(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=4096)


class TokenDoor(_OpenDoor):
    @extend_schema(
        tags=["sign-in"],
        request=TokenInput,
        responses={200: TokenPair} | refusals(400, 401, 403, 409, 429),
        summary="Sign in",
    )
    def post(self, request: Request) -> Response:
        """Tokens for one person in one business; on a business's host, only for that one.

        Who belongs to several and names none is told which there are: 409 `choose_business`, `errors.business`. Who has
        a second factor and gives no code of it is told so: 401 `second_factor_needed`.
        """
        given = TokenInput(data=request.data)
        given.is_valid(raise_exception=True)
        place = sign_in.enter(
            request._request,
            email=given.validated_data["email"],
            password=given.validated_data["password"],
            code=given.validated_data.get("second_factor", ""),
            slug=given.validated_data.get("business", ""),
        )
        return Response(TokenPair(tokens.issue_tokens(place)).data)


class TokenRefresh(_OpenDoor):
    @extend_schema(
        tags=["sign-in"],
        request=RefreshInput,
        responses={200: TokenPair} | refusals(400, 401, 404),
        summary="Renew tokens",
    )
    def post(self, request: Request) -> Response:
        """A refresh token works once. Using it again ends every token and session of that person in that business."""
        given = RefreshInput(data=request.data)
        given.is_valid(raise_exception=True)
        pair = tokens.rotate_tokens(given.validated_data["refresh"], host_tenant=_host_tenant(request))
        return Response(TokenPair(pair).data)


class TokenRevoke(_OpenDoor):
    @extend_schema(
        tags=["sign-in"],
        request=RefreshInput,
        responses={204: None} | refusals(400, 401, 404),
        summary="Sign out",
    )
    def post(self, request: Request) -> Response:
        given = RefreshInput(data=request.data)
        given.is_valid(raise_exception=True)
        tokens.revoke_tokens(given.validated_data["refresh"], host_tenant=_host_tenant(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class PersonOutput(serializers.Serializer[Any]):
    id = PublicIdField("usr")
    name = serializers.CharField()
    email = serializers.EmailField()
    phone = serializers.CharField()
    language = serializers.CharField(help_text="`en` or `sw`; empty: as the browser asks.")


class MeOutput(serializers.Serializer[Any]):
    person = PersonOutput(source="membership.user")
    business = BusinessOutput(source="membership.tenant")
    role = serializers.ChoiceField(Role.choices, source="membership.role")
    permissions = serializers.ListField(child=serializers.ChoiceField([(each.value, each.name) for each in Permission]))


class Me(APIView):
    @extend_schema(tags=["team"], responses={200: MeOutput} | refusals(401), summary="Who am I here?")
    def get(self, request: Request) -> Response:
        """The person, the business, and what this person may do in it now."""
        actor = request._request.actor  # type: ignore[attr-defined]
        require(actor, Permission.BUSINESS_READ)
        membership: Membership = request._request.membership  # type: ignore[attr-defined]
        return Response(MeOutput({"membership": membership, "permissions": permissions_of(actor)}).data)


class MemberOutput(serializers.Serializer[Membership]):
    id = PublicIdField("mbr")
    name = serializers.CharField(source="user.name")
    email = serializers.EmailField(source="user.email")
    role = serializers.ChoiceField(Role.choices)
    is_active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class MemberChange(serializers.Serializer[Any]):
    role = serializers.ChoiceField(Role.choices, required=False)
    is_active = serializers.BooleanField(required=False)


class InvitationInput(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(Role.choices)


class InvitationOutput(serializers.Serializer[Invitation]):
    id = PublicIdField("inv")
    email = serializers.EmailField()
    role = serializers.ChoiceField(Role.choices)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class AcceptInput(serializers.Serializer[Any]):
    token = serializers.CharField(max_length=200)
    password = serializers.CharField(max_length=128, write_only=True, trim_whitespace=False)
    name = serializers.CharField(max_length=120, required=False, help_text="For people who are new here.")
    second_factor = serializers.CharField(
        max_length=16,
        required=False,
        write_only=True,
        help_text="The code of the authenticator app or a recovery code, for people who have a second factor.",
    )


@extend_schema(tags=["team"], responses={200: MemberOutput(many=True)} | refusals(401, 403), summary="List the team")
class Team(ListAPIView[Membership]):
    serializer_class = MemberOutput
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        return people.members(actor=self.request.actor)  # type: ignore[attr-defined]


class TeamMember(APIView):
    @extend_schema(
        tags=["team"],
        request=MemberChange,
        responses={200: MemberOutput} | refusals(400, 401, 403, 404, 409),
        summary="Change a role, close or reopen a place",
    )
    def patch(self, request: Request, membership_id: str) -> Response:
        """A closed place ends its tokens and sessions at once. The last administrator stays (`last_administrator`)."""
        given = MemberChange(data=request.data)
        given.is_valid(raise_exception=True)
        place = people.change_member(
            actor=request._request.actor,  # type: ignore[attr-defined]
            membership_id=id_in_url("mbr", membership_id),
            role=given.validated_data.get("role"),
            is_active=given.validated_data.get("is_active"),
        )
        return Response(MemberOutput(place).data)


class Invitations(ListAPIView[Invitation]):
    serializer_class = InvitationOutput
    queryset = Invitation.objects.none()

    def get_queryset(self) -> QuerySet[Invitation]:
        return people.open_invitations(actor=self.request.actor)  # type: ignore[attr-defined]

    @extend_schema(
        tags=["team"],
        responses={200: InvitationOutput(many=True)} | refusals(401, 403),
        summary="List open invitations",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        tags=["team"],
        request=InvitationInput,
        responses={201: InvitationOutput} | refusals(400, 401, 403, 409, 429),
        summary="Invite somebody by e-mail",
    )
    def post(self, request: Request) -> Response:
        given = InvitationInput(data=request.data)
        given.is_valid(raise_exception=True)
        invitation = people.invite(
            actor=request._request.actor,  # type: ignore[attr-defined]
            email=given.validated_data["email"],
            role=Role(given.validated_data["role"]),
            now=timezone.now(),
        )
        return Response(InvitationOutput(invitation).data, status=status.HTTP_201_CREATED)


class InvitationResend(APIView):
    @extend_schema(
        tags=["team"],
        request=None,
        responses={200: InvitationOutput} | refusals(401, 403, 404, 409, 429),
        summary="Send an invitation again",
    )
    def post(self, request: Request, invitation_id: str) -> Response:
        invitation = people.resend_invitation(
            actor=request._request.actor,  # type: ignore[attr-defined]
            invitation_id=id_in_url("inv", invitation_id),
            now=timezone.now(),
        )
        return Response(InvitationOutput(invitation).data)


class InvitationRevoke(APIView):
    @extend_schema(
        tags=["team"],
        request=None,
        responses={204: None} | refusals(401, 403, 404, 409),
        summary="Withdraw an invitation",
    )
    def post(self, request: Request, invitation_id: str) -> Response:
        people.revoke_invitation(
            actor=request._request.actor,  # type: ignore[attr-defined]
            invitation_id=id_in_url("inv", invitation_id),
            now=timezone.now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationAccept(_PlatformDoor):
    @extend_schema(
        tags=["team"],
        request=AcceptInput,
        responses={201: TokenPair} | refusals(400, 401, 404, 409, 429),
        summary="Take up an invitation",
    )
    def post(self, request: Request) -> Response:
        """With the token from the e-mail. Who is new gives a name and a new password; who is not, their password."""
        given = AcceptInput(data=request.data)
        given.is_valid(raise_exception=True)
        place = sign_in.accept_invitation(
            request._request,
            token=given.validated_data["token"],
            name=given.validated_data.get("name", ""),
            password=given.validated_data["password"],
            code=given.validated_data.get("second_factor", ""),
            now=timezone.now(),
        )
        return Response(TokenPair(tokens.issue_tokens(place)).data, status=status.HTTP_201_CREATED)
