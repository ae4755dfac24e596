@NullMarked
package dev.lorikeet.host.router;

import org.jspecify.annotations.NullMarked;
