@NullMarked
package dev.lorikeet.host;

import org.jspecify.annotations.NullMarked;
