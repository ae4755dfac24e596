/** Commands on model directories. */
@NullMarked
package dev.lorikeet.cli.models;

import org.jspecify.annotations.NullMarked;
