/** Commands on adapter files. */
@NullMarked
package dev.lorikeet.cli.adapters;

import org.jspecify.annotations.NullMarked;
