/* Socket addresses as plain structs: octets in written order, ports in host byte order.
 * A zeroed ccoip_socket_address_t is IPv4 0.0.0.0:0. */
#ifndef CCOIP_INET_H
#define CCOIP_INET_H

#ifdef __cplusplus
#include <cstdint>
extern "C" {
#else
#include <stdint.h>
#endif

typedef enum ccoip_inet_protocol_t { inetIPv4 = 0, inetIPv6 = 1 } ccoip_inet_protocol_t;

typedef struct ccoip_ipv4_address_t {
  uint8_t data[4];
} ccoip_ipv4_address_t;

typedef struct ccoip_ipv6_address_t {
  uint8_t data[16];
} ccoip_ipv6_address_t;

/* Both addresses are always present; `protocol` says which one counts. */
typedef struct ccoip_inet_address_t {
  ccoip_inet_protocol_t protocol;
  ccoip_ipv4_address_t ipv4;
  ccoip_ipv6_address_t ipv6;
} ccoip_inet_address_t;

typedef struct ccoip_socket_address_t {
  ccoip_inet_address_t inet;
  uint16_t port;
} ccoip_socket_address_t;

#ifdef __cplusplus
}
#endif

#endif
