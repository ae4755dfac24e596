/** Providers and their discovery. */
@NullMarked
package dev.lorikeet.plugin;

import org.jspecify.annotations.NullMarked;
