"""Directory objects as Graph writes them: service principals, registrations, users, owners; made from their number."""

from __future__ import annotations

from typing import Any

import msgspec

from appgov_lib.sample import ids
from appgov_lib.sample.calendar import days_before_now
from appgov_lib.sample.cast import ORDERS_API
from appgov_lib.sample.member import Credential
from appgov_lib.sample.people import People, quoted
from appgov_lib.sample.profiles import OTHER_ROLES, PROFILE_NAMES, PROFILES, graph_permissions
from appgov_lib.sample.world import (
    DOMAIN,
    INTERNAL,
    MANAGED,
    MICROSOFT,
    MICROSOFT_TENANT,
    ODD,
    VERIFIED,
    World,
)

_encode = msgspec.json.Encoder().encode
GRAPH_APP = "00000003-0000-0000-c000-000000000000"
_INFO = '{"logoUrl":null,"marketingUrl":null,"privacyStatementUrl":null,"supportUrl":null,"termsOfServiceUrl":null}'
_NO_PUBLISHER = '{"displayName":null,"verifiedPublisherId":null,"addedDateTime":null}'


def compact(value: Any) -> str:
    """JSON text without blanks, characters as they are."""
    return _encode(value).decode()


class Directory:
    """Writes directory objects for a world."""

    def __init__(self, world: World) -> None:
        """Prepare the long texts that many objects share."""
        self.world, self.people = world, People(world)
        self._graph = self._graph_texts()
        self._application_ids = ids.GuidColumn(world.seed, "application", self.application_count)
        self._owners: dict[int, dict[str, Any]] = {}
        self._orders = world.cast_index(ORDERS_API)
        self._inventory = self._orders + 1
        self.order_roles = {
            name: ids.guid(world.seed, "role", name) for name in ("Orders.Read.All", "Orders.ReadWrite.All")
        }

    # ---- service principals ----------------------------------------------------------------------------------------

    def service_principal(self, index: int) -> bytes:
        """The service principal at `index` as in a list without `$select`; `createdDateTime` is undeclared in v1.0."""
        world, kind = self.world, self.world.kind[index]
        member = world.member(index)
        if kind == ODD:
            return self._odd(index)
        app_id, name = world.app_ids[index], quoted(self.people.app_name(index))
        roles, scopes = self.published(index)
        owner, audience = f'"{world.tenant_id}"', '"AzureADMyOrg"'
        names, replies, publisher, tags = (
            f'["{app_id}"]',
            "[]",
            _NO_PUBLISHER,
            '["WindowsAzureActiveDirectoryIntegratedApp"]',
        )
        sp_type, homepage, publisher_name, template = '"Application"', "null", f'"{self._organization()}"', "null"
        alternative, sso = "[]", "null"
        if kind == MICROSOFT:
            owner, audience, tags = f'"{MICROSOFT_TENANT}"', '"AzureADMultipleOrgs"', "[]"
            publisher_name = '"Microsoft Services"'
        elif kind == MANAGED:
            sp_type, audience, tags, publisher_name = '"ManagedIdentity"', "null", "[]", "null"
            group = f"/subscriptions/{world.object_ids[3]}/resourcegroups/rg-{index % 12}"
            alternative = f'["isExplicit=False","{group}/providers/Microsoft.Web/sites/app-{index}"]'
            names = f'["{app_id}","https://identity.azure.net/{index:08x}"]'
        elif kind == INTERNAL:
            replies = f'["https://app{index}.{DOMAIN}/signin-oidc"]'
            homepage = f'"https://app{index}.{DOMAIN}/"'
        else:
            vendor = self.people.vendor(index)
            slug = vendor.lower().replace(" ", "")
            owner = f'"{self.people.vendor_tenant(index)}"'
            audience = '"AzureADMultipleOrgs"' if index % 2 else '"AzureADandPersonalMicrosoftAccount"'
            replies, homepage = f'["https://login.{slug}.example/callback"]', f'"https://www.{slug}.example"'
            publisher_name = quoted(vendor)
            if kind == VERIFIED:
                added = days_before_now(900 + index % 300)
                number = 5_000_000 + index % 20
                publisher = (
                    f'{{"displayName":{quoted(vendor)},"verifiedPublisherId":"{number}","addedDateTime":"{added}"}}'
                )
                if PROFILE_NAMES[world.profile[index]] == "saml":
                    sso, template = '"saml"', f'"{world.object_ids[index % 4096]}"'
        keys, passwords = self._credential_lists(index, on_application=False)
        disabled = quoted(member.disabled_by_microsoft) if member else "null"
        enabled = "false" if member and not member.enabled else "true"
        return (
            f'{{"id":"{world.sp_ids[index]}","deletedDateTime":null,"accountEnabled":{enabled},"alternativeNames":{alternative},'
            f'"appDescription":null,"appDisplayName":{name},"appId":"{app_id}","applicationTemplateId":{template},'
            f'"appOwnerOrganizationId":{owner},"appRoleAssignmentRequired":{"true" if index % 6 == 0 else "false"},'
            f'"createdByAppId":null,"createdDateTime":"{days_before_now(int(world.created[index]))}","description":null,'
            f'"disabledByMicrosoftStatus":{disabled},"displayName":{name},"homepage":{homepage},"isDisabled":null,"loginUrl":null,'
            f'"logoutUrl":null,"notes":null,"notificationEmailAddresses":[],"preferredSingleSignOnMode":{sso},'
            f'"preferredTokenSigningKeyThumbprint":null,"publisherName":{publisher_name},"replyUrls":{replies},'
            f'"servicePrincipalNames":{names},"servicePrincipalType":{sp_type},"signInAudience":{audience},"tags":{tags},'
            f'"tokenEncryptionKeyId":null,"samlSingleSignOnSettings":null,"addIns":[],"appRoles":{roles},"info":{_INFO},'
            f'"keyCredentials":{keys},"oauth2PermissionScopes":{scopes},"passwordCredentials":{passwords},'
            f'"resourceSpecificApplicationPermissions":[],"verifiedPublisher":{publisher}}}'
        ).encode()

    def _odd(self, index: int) -> bytes:
        """Objects that break assumptions: missing owner organisation, unknown values, nearly everything null."""
        world, member = self.world, self.world.member(index)
        story = member.story if member else ""
        record: dict[str, Any] = {
            "id": world.sp_ids[index],
            "appId": world.app_ids[index],
            "displayName": self.people.app_name(index),
        }
        if story == "odd-legacy":
            record |= {
                "servicePrincipalType": "Legacy",
                "appOwnerOrganizationId": None,
                "accountEnabled": True,
                "signInAudience": None,
            }
            record |= {"keyCredentials": [], "passwordCredentials": [], "replyUrls": [], "tags": ["WebApp"]}
        elif story == "odd-agent":
            record = {
                "@odata.type": "#microsoft.graph.agentIdentity",
                **record,
                "servicePrincipalType": "ServiceIdentity",
            }
            record |= {
                "appOwnerOrganizationId": world.tenant_id,
                "accountEnabled": True,
                "signInAudience": "unknownFutureValue",
            }
            record |= {"somethingNew": {"nested": [1, "two", None]}, "createdDateTime": days_before_now(40)}
        else:
            record |= {"accountEnabled": None, "servicePrincipalType": None, "verifiedPublisher": None, "info": None}
        return compact(record).encode()

    def published(self, index: int) -> tuple[str, str]:
        """(appRoles, oauth2PermissionScopes) of a service principal as JSON lists."""
        app_id = self.world.app_ids[index]
        if app_id == GRAPH_APP:
            return self._graph
        if app_id in OTHER_ROLES:
            return compact([_role(i, v) for v, i in OTHER_ROLES[app_id].items()]), "[]"
        if index in (self._orders, self._inventory):
            return compact([_role(i, v) for v, i in self.order_roles.items()]) if index == self._orders else "[]", "[]"
        return "[]", "[]"

    def _graph_texts(self) -> tuple[str, str]:
        """Everything that Microsoft Graph publishes in this tenant."""
        roles = [_role(p.application_id, p.value) for p in graph_permissions().values() if p.application_id]
        scopes = [
            _scope(p.delegated_id, p.value, p.needs_admin) for p in graph_permissions().values() if p.delegated_id
        ]
        return compact(roles), compact(scopes)

    def _organization(self) -> str:
        """Name of the tenant as publisher."""
        return "Northwind Sample"

    # ---- credentials -----------------------------------------------------------------------------------------------

    def on_application(self, index: int) -> bool:
        """Whether the app's credentials sit on its registration (otherwise on the service principal)."""
        return bool(self.world.kind[index] == INTERNAL)

    def _credential_lists(self, index: int, on_application: bool) -> tuple[str, str]:
        """(keyCredentials, passwordCredentials) of one side of an app as JSON lists, without the key itself."""
        if self.on_application(index) != on_application:
            return "[]", "[]"
        keys, passwords = [], []
        for place, credential in enumerate(self.world.credentials(index)):
            if credential.kind == "certificate":
                keys.append(self._key(index, place, credential))
            elif credential.kind == "secret":
                passwords.append(self._password(index, place, credential))
        return f"[{','.join(keys)}]", f"[{','.join(passwords)}]"

    def _key(self, index: int, place: int, credential: Credential) -> str:
        """One entry of keyCredentials."""
        thumbprint = ids.digest(self.world.seed, "thumbprint", f"{index}/{place}").hex().upper()
        return (
            f'{{"customKeyIdentifier":"{thumbprint}","displayName":{quoted(credential.name)},'
            f'"endDateTime":"{days_before_now(credential.ends)}","key":null,'
            f'"keyId":"{self.world.key_id(index, place)}","startDateTime":"{days_before_now(credential.starts)}",'
            f'"type":"AsymmetricX509Cert","usage":"Verify"}}'
        )

    def _password(self, index: int, place: int, credential: Credential) -> str:
        """One entry of passwordCredentials."""
        key_id = self.world.key_id(index, place)
        return (
            f'{{"customKeyIdentifier":null,"displayName":{quoted(credential.name)},'
            f'"endDateTime":"{days_before_now(credential.ends)}","hint":"{key_id[:3]}","keyId":"{key_id}","secretText":null,'
            f'"startDateTime":"{days_before_now(credential.starts)}"}}'
        )

    # ---- registrations ---------------------------------------------------------------------------------------------

    def application_id(self, number: int) -> str:
        """Object id of registration `number`."""
        return self._application_ids[number]

    @property
    def application_count(self) -> int:
        """Registrations in the tenant: one per internal app, and a few without a service principal."""
        return len(self.world.registered) + self.world.orphans

    def application(self, number: int) -> bytes:
        """Registration `number`."""
        world = self.world
        app_id = self._registered_app(number)
        if number >= len(world.registered):
            index, name = -1, f'"Abandoned Prototype {number}"'
            keys, passwords, needed, created, roles = "[]", "[]", "[]", 800, "[]"
        else:
            index = int(world.registered[number])
            name = quoted(self.people.app_name(index))
            keys, passwords = self._credential_lists(index, on_application=True)
            needed, created, roles = self._required(index), int(world.created[index]), self.published(index)[0]
        return (
            f'{{"id":"{self.application_id(number)}","deletedDateTime":null,"appId":"{app_id}","applicationTemplateId":null,'
            f'"createdByAppId":null,"createdDateTime":"{days_before_now(created)}","description":null,"disabledByMicrosoftStatus":null,'
            f'"displayName":{name},"groupMembershipClaims":null,"identifierUris":["api://{app_id}"],"isDeviceOnlyAuthSupported":null,'
            f'"isDisabled":null,"isFallbackPublicClient":null,"notes":null,"publisherDomain":"{DOMAIN}",'
            f'"serviceManagementReference":null,"servicePrincipalLockConfiguration":null,"signInAudience":"AzureADMyOrg","tags":[],"tokenEncryptionKeyId":null,"uniqueName":null,'
            f'"samlMetadataUrl":null,"addIns":[],"api":{{"acceptMappedClaims":null,"knownClientApplications":[],'
            f'"oauth2PermissionScopes":[],"preAuthorizedApplications":[],"requestedAccessTokenVersion":2}},"appRoles":{roles},'
            f'"certification":null,"info":{_INFO},"keyCredentials":{keys},"parentalControlSettings":'
            f'{{"countriesBlockedForMinors":[],"legalAgeGroupRule":"Allow"}},"passwordCredentials":{passwords},'
            f'"publicClient":{{"redirectUris":[]}},"requiredResourceAccess":{needed},"spa":{{"redirectUris":[]}},'
            f'"verifiedPublisher":{_NO_PUBLISHER},"web":{{"homePageUrl":null,"logoutUrl":null,'
            f'"redirectUris":["https://app{index}.{DOMAIN}/signin-oidc"],"implicitGrantSettings":'
            f'{{"enableAccessTokenIssuance":false,"enableIdTokenIssuance":false}}}}}}'
        ).encode()

    def _required(self, index: int) -> str:
        """requiredResourceAccess: all that the app was granted, apart from what its story leaves out."""
        member = self.world.member(index)
        omitted = member.manifest_omits if member else ()
        by_resource: dict[str, list[dict[str, str]]] = {}
        for resource, role, value in self.app_roles(index):
            if value not in omitted:
                by_resource.setdefault(self.world.app_ids[resource], []).append({"id": role, "type": "Role"})
        for scope in PROFILES[PROFILE_NAMES[self.world.profile[index]]].scopes:
            entry = {"id": graph_permissions()[scope].delegated_id, "type": "Scope"}
            by_resource.setdefault(GRAPH_APP, []).append(entry)
        return compact([{"resourceAppId": app, "resourceAccess": access} for app, access in by_resource.items()])

    def app_roles(self, index: int) -> list[tuple[int, str, str]]:
        """(resource index, role id, value) of the application permissions of an app."""
        world, permissions = self.world, graph_permissions()
        roles = PROFILES[PROFILE_NAMES[world.profile[index]]].roles
        found = [(0, permissions[value].application_id, value) for value in roles]
        member = world.member(index)
        for app_id, value in member.extra_roles if member else ():
            found.append((world.index_of_app[app_id], OTHER_ROLES[app_id][value], value))
        if self.calls_orders(index):
            found.append((self._orders, self.order_roles["Orders.Read.All"], "Orders.Read.All"))
        return found

    def calls_orders(self, index: int) -> bool:
        """Whether the app is a client of the internal API."""
        ordinary = index >= self.world.ordinary_start and self.world.kind[index] == INTERNAL
        return bool(ordinary and index % 9 == 3)

    def federated(self, number: int) -> list[bytes]:
        """Federated identity credentials of registration `number`."""
        if number >= len(self.world.registered):
            return []
        index = int(self.world.registered[number])
        found = []
        for place, credential in enumerate(self.world.credentials(index)):
            if credential.kind == "federated":
                issuer, subject, name = self._trust(index)
                record = {"id": self.world.key_id(index, place), "name": name, "issuer": issuer, "subject": subject}
                found.append(
                    compact({**record, "description": None, "audiences": ["api://AzureADTokenExchange"]}).encode()
                )
        return found

    def _trust(self, index: int) -> tuple[str, str, str]:
        """(issuer, subject, name) of what an app's federated credential trusts: mostly GitHub."""
        github = "https://token.actions.githubusercontent.com"
        cluster = f"https://westeurope.oic.prod-aks.azure.com/{self.world.tenant_id}/{self.world.object_ids[7]}/"
        choices = (
            (github, f"repo:northwind/app{index}:ref:refs/heads/main", "github-main"),
            (github, f"repo:northwind/app{index}:environment:production", "github-production"),
            (cluster, f"system:serviceaccount:apps:app{index}", "aks-west"),
            (github, f"repo:northwind/app{index}:pull_request", "github-pull-requests"),
            ("https://gitlab.com", f"project_path:northwind/app{index}:ref_type:branch:ref:main", "gitlab-main"),
        )
        return choices[ids.pick(self.world.seed, "trusts", index, len(choices))]

    def federated_numbers(self) -> list[int]:
        """Registrations that have a federated credential."""
        world = self.world
        return [
            number
            for number, index in enumerate(world.registered.tolist())
            if any(credential.kind == "federated" for credential in world.credentials(index))
        ]

    # ---- people ----------------------------------------------------------------------------------------------------

    def user(self, number: int) -> bytes:
        """User `number` with the properties of a list without `$select` and those the extractor selects."""
        world, people = self.world, self.people
        upn, name = people.principal_name(number), quoted(people.user_name(number))
        created = days_before_now(60 + ids.pick(world.seed, "user age", number, 2_000))
        return (
            f'{{"id":"{world.user_ids[number]}","userPrincipalName":"{upn}","displayName":{name},"mail":"{upn}",'
            f'"accountEnabled":{"true" if people.is_enabled(number) else "false"},'
            f'"userType":"{"Guest" if people.is_guest(number) else "Member"}","createdDateTime":"{created}",'
            f'"jobTitle":null}}'
        ).encode()

    def owner_objects(self, index: int, on_service_principal: bool) -> list[dict[str, Any]]:
        """Owners of an app's registration, or of its service principal (kept there for three apps in five)."""
        if self.world.kind[index] != INTERNAL or (on_service_principal and index % 5 > 2):
            return []
        return [self._owner(user) for user in self.world.owner(index)]

    def _owner(self, user: int) -> dict[str, Any]:
        """A user as the owner of something; the same value for every app of theirs."""
        if user not in self._owners:
            self._owners[user] = {
                "@odata.type": "#microsoft.graph.user",
                "id": self.world.user_ids[user],
                "displayName": self.people.user_name(user),
                "userPrincipalName": self.people.principal_name(user),
                "accountEnabled": self.people.is_enabled(user),
                "userType": "Guest" if self.people.is_guest(user) else "Member",
            }
        return self._owners[user]

    def brief_service_principal(self, index: int) -> bytes:
        """Only the ids of a service principal."""
        return f'{{"id":"{self.world.sp_ids[index]}","appId":"{self.world.app_ids[index]}"}}'.encode()

    def brief_application(self, number: int) -> bytes:
        """Only the ids of a registration."""
        return f'{{"id":"{self.application_id(number)}","appId":"{self._registered_app(number)}"}}'.encode()

    def _registered_app(self, number: int) -> str:
        """App id of registration `number`."""
        if number >= len(self.world.registered):
            return ids.guid(self.world.seed, "orphan", number)
        return self.world.app_ids[int(self.world.registered[number])]


def _role(role_id: str, value: str) -> dict[str, Any]:
    """An app role that applications may hold."""
    return {
        "allowedMemberTypes": ["Application"],
        "description": f"Allows the app to use {value} without a signed-in user.",
        "displayName": value,
        "id": role_id,
        "isEnabled": True,
        "origin": "Application",
        "value": value,
    }


def _scope(scope_id: str, value: str, needs_admin: bool) -> dict[str, Any]:
    """A delegated permission."""
    return {
        "adminConsentDescription": f"Allows the app to use {value} for signed-in users.",
        "adminConsentDisplayName": value,
        "id": scope_id,
        "isEnabled": True,
        "type": "Admin" if needs_admin else "User",
        "userConsentDescription": None,
        "userConsentDisplayName": None,
        "value": value,
    }
