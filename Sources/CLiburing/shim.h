// liburing.h asks for another view of the system's headers; taken in first, they are defined once.
#include <sys/select.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <liburing.h>
