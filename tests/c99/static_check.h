/* C99 has no _Static_assert: an array of negative size says no. */
#ifndef STATIC_CHECK_H
#define STATIC_CHECK_H
#define STATIC_CHECK_NAME_(line) static_check_in_line_##line
#define STATIC_CHECK_NAME(line) STATIC_CHECK_NAME_(line)
#define STATIC_CHECK(condition) typedef char STATIC_CHECK_NAME(__LINE__)[(condition) ? 1 : -1]
#endif
