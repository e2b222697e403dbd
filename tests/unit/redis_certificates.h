/* redis_certificates: an authority and what it signs, as PEM files beside the servers of a test. */
#ifndef TESTS_UNIT_REDIS_CERTIFICATES_H
#define TESTS_UNIT_REDIS_CERTIFICATES_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "redis_world.h"

struct authority {
    EVP_PKEY *key;
    X509 *certificate;
};

static X509 *certificate_sign(const struct authority *by, EVP_PKEY *key, const char *name,
                              const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), names == NULL ? 1 : 2);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate,
                         by == NULL ? subject : X509_get_subject_name(by->certificate));
    X509_EXTENSION *extension =
        names == NULL ? X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE")
                      : X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    cr_assert_not_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    cr_assert_neq(X509_sign(certificate, by == NULL ? key : by->key, EVP_sha256()), 0);
    return certificate;
}

static FILE *certificate_file(const char *name, const char *end)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s.%s", world.directory, name, end);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    return file;
}

/* `name`.pem, self-signed. To be forgotten. */
static struct authority authority_found(const char *name)
{
    struct authority made = {.key = EVP_EC_gen("P-256")};
    made.certificate = certificate_sign(NULL, made.key, name, NULL);
    FILE *file = certificate_file(name, "pem");
    cr_assert_eq(PEM_write_X509(file, made.certificate), 1);
    fclose(file);
    return made;
}

static void authority_forget(struct authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

/* `name`.pem and `name`.key. `names`: such as "DNS:a.example,IP:127.0.0.1". */
static void certificate_issue(const struct authority *by, const char *name, const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = certificate_sign(by, key, name, names);
    FILE *file = certificate_file(name, "pem");
    cr_assert_eq(PEM_write_X509(file, certificate), 1);
    fclose(file);
    file = certificate_file(name, "key");
    cr_assert_eq(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

#endif
