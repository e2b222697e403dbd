# Varnish, told to keep one answer per Authorization, with the query sorted. A write bans its session.
vcl 4.1;
import std;

backend application {
    .host = "127.0.0.1";
    .port = "@UPSTREAM_PORT@";
}

sub vcl_recv {
    if (req.method == "GET" && req.url ~ "^/transactions") {
        set req.url = std.querysort(req.url);
        return (hash);
    }
    return (pass);
}

sub vcl_hash {
    hash_data(req.url);
    hash_data(req.http.Authorization);
    return (lookup);
}

sub vcl_backend_response {
    if (bereq.url ~ "^/transactions") {
        set beresp.ttl = 1h;
        set beresp.grace = 0s;
        set beresp.http.x-session = regsub(bereq.url, "^.*[?&]session_id=([^&]*).*$", "\1");
    }
    return (deliver);
}

sub vcl_deliver {
    unset resp.http.x-session;
    if (req.method == "PUT" && req.url ~ "^/sessions/" && resp.status < 400) {
        std.ban("obj.http.x-session == " + regsub(req.url, "^/sessions/", ""));
    }
}
