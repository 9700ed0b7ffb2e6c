
# 4. A certificate for a year. The key stays in a file that you alone can read; the app gets the public part.
$certificate = Join-Path $HOME "appgov-$($app.AppId).pem"
$key = [System.Security.Cryptography.RSA]::Create(3072)
$request = [System.Security.Cryptography.X509Certificates.CertificateRequest]::new(
    'CN=appgov', $key, 'SHA256', [System.Security.Cryptography.RSASignaturePadding]::Pkcs1)
$public = $request.CreateSelfSigned([DateTimeOffset]::UtcNow.AddMinutes(-5), [DateTimeOffset]::UtcNow.AddDays(365))
New-Item -ItemType File -Path $certificate | Out-Null
if ($IsWindows) {
    icacls $certificate /inheritance:r /grant:r "$($env:USERNAME):(F)" | Out-Null
}
else {
    chmod 600 $certificate
}
Set-Content -Path $certificate -Value ($key.ExportPkcs8PrivateKeyPem() + "`n" + $public.ExportCertificatePem())
Update-MgApplication -ApplicationId $app.Id -KeyCredentials @(
    @{ Type = 'AsymmetricX509Cert'; Usage = 'Verify'; Key = $public.RawData; DisplayName = 'appgov' }
)
