/* Each header brings what it needs; including one twice is harmless. */
#include <ccoip_inet.h>
#include <ccoip.h>
#include <ccoip.h>
#include <ccoip_inet.h>
/* A zeroed address is 0.0.0.0:0, and ccoip_inet.h alone gives the fixed-width types. */
static const ccoip_socket_address_t any_address = {{inetIPv4, {{0, 0, 0, 0}}, {{0}}}, CCOIP_PROTOCOL_PORT_MASTER};
uint16_t port_of_any_address(void);
uint16_t port_of_any_address(void) { return any_address.port; }

#include <pccl.h>
#include <pccl.h>
/* pccl.h alone gives size_t, bool and NULL. */
size_t nothing(bool *flag);
size_t nothing(bool *flag) { return flag == NULL ? 0 : 1; }
