#Requires -Version 7.3
#Requires -Modules Microsoft.Graph.Authentication, Microsoft.Graph.Applications
# Creates an app registration that may read what appgov reads, and nothing else. Printed by `appgov setup-script`.
# Read it first. It signs you in; you need to be someone who may register apps and grant application permissions of
# Microsoft Graph: Privileged Role Administrator or Global Administrator.
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version Latest

$name = __name__
$endpoint = __endpoint__
$graphApp = __graph_app__

# Application permissions of Microsoft Graph, by id. All of them read.
$permissions = @(
__permissions__
)

# An app of one cloud is unknown in the others.
Connect-MgGraph -Environment __environment__ -Scopes 'Application.ReadWrite.All', 'AppRoleAssignment.ReadWrite.All' -NoWelcome

if (Get-MgApplication -Filter __same_name__) {
    throw "There is an app called $name already; nothing was changed."
}

# 1. The registration, which asks for the permissions.
$access = @{
    ResourceAppId  = $graphApp
    ResourceAccess = @($permissions | ForEach-Object { @{ Id = $_; Type = 'Role' } })
}
$app = New-MgApplication -DisplayName $name -SignInAudience 'AzureADMyOrg' -RequiredResourceAccess @($access)

# 2. Its service principal in this tenant. For a managed identity leave out 1 and get its principal by object id here.
$principal = New-MgServicePrincipal -AppId $app.AppId

# 3. Admin consent: each permission is granted by itself. A new principal takes a moment to be known everywhere.
$graph = Get-MgServicePrincipal -Filter "appId eq '$graphApp'"
foreach ($id in $permissions) {
    foreach ($attempt in 1..5) {
        try {
            New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $principal.Id -PrincipalId $principal.Id `
                -ResourceId $graph.Id -AppRoleId $id | Out-Null
            break
        }
        catch {
            if ($attempt -eq 5) { throw }
            Start-Sleep -Seconds 5
        }
    }
}
$certificate = ''
__certificate__
$tenant = (Get-MgContext).TenantId
Write-Output 'Set these, then run: appgov doctor'
Write-Output "  `$env:AZURE_TENANT_ID = '$tenant'"
Write-Output "  `$env:AZURE_CLIENT_ID = '$($app.AppId)'"
if ($certificate) {
    Write-Output "  `$env:AZURE_CLIENT_CERTIFICATE_PATH = '$certificate'"
}
Write-Output "  `$env:APPGOV_GRAPH_ENDPOINT = '$endpoint'"
