
# 4. A certificate for a year. The key stays in a file that you alone can read; the app gets the public part.
umask 077
certificate="$HOME/appgov-$app_id.pem"
openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 365 -subj '/CN=appgov' \
  -keyout "$certificate" -out "$certificate.crt"
az ad app credential reset --id "$app_id" --cert "@$certificate.crt" --append --output none
cat "$certificate.crt" >>"$certificate"
rm "$certificate.crt"
